"""Every setting of the service, read once from the environment.

Read only by the composition root: everything else takes what it needs as
arguments. Names in the environment are SCORING_<NAME>.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

PREFIX = "SCORING_"


class Settings(BaseSettings):
    """Settings with their defaults; each names its unit and limit."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", str_strip_whitespace=True
    )

    # Outside systems -------------------------------------------------------
    redis_url: str = Field("", description="redis://, rediss:// or unix://")
    redis_cluster: bool = Field(
        False, description="the URL names servers of a Redis Cluster, comma separated"
    )
    redis_sentinels: str = Field(
        "", description="host:port, comma separated; the URL's host is what they watch"
    )
    redis_sentinel_username: str = Field("", description="of the sentinels themselves")
    redis_sentinel_password: SecretStr = Field(
        SecretStr(""), description="of the sentinels themselves"
    )
    kafka_bootstrap: str = Field("", description="host:port, comma separated")
    kafka_options: dict[str, str] = Field(
        default_factory=dict,
        description="aiokafka client options (security_protocol, sasl_…), JSON",
    )
    namespace: str = Field(
        "live", pattern=r"^[a-z0-9-]{1,64}$", description="prefix of keys in the store"
    )
    topic_prefix: str = Field("", description="prefix of every topic, a replay's name")
    fetch_wait_ms: int = Field(
        100, ge=1, le=5_000, description="broker long-poll; 5 on the embedded broker"
    )

    # Artifacts -------------------------------------------------------------
    model_dir: Path = Field(
        Path(".scoring/model"), description="a model bundle, or a model registry"
    )
    model_url: str = Field(
        "", description="a remote model registry (fsspec); mirrored to MODEL_DIR"
    )
    model_trust_file: Path | None = Field(
        None, description="PEM public keys: set, only models that they signed are taken"
    )
    model_signing_file: Path | None = Field(
        None, description="PEM private key that `scoring train` signs with"
    )
    tensor_rows_min: int = Field(
        0, ge=0, description="stream batches this large use the tensor target; 0: none"
    )
    tensor_device: Literal["cpu", "cuda"] = Field(
        "cpu", description="what computes the tensor target; cuda or no start"
    )
    policy_file: Path | None = Field(
        None, description="followed; default: the shipped policy"
    )
    policy_from: Literal["file", "control"] = Field(
        "file", description="control: the releases of `scoring control`, by Kafka"
    )
    features_file: Path | None = Field(None, description="default: the shipped one")
    reasons_file: Path | None = Field(
        None, description="followed; default: the shipped table"
    )
    rates_file: Path | None = Field(
        None, description="exchange rates, CSV, followed; default: the shipped example"
    )
    state_dir: Path = Field(Path(".scoring"), description="spool and demo artifacts")
    archive_dir: Path | None = Field(
        None, description="Parquet archive of decisions and labels; unset: none"
    )

    # Meaning ---------------------------------------------------------------
    lateness_s: int = Field(86_400, ge=0, description="later is read, never counted")
    skew_s: int = Field(300, ge=0, description="further in the future is refused")
    dedupe_s: int = Field(
        8 * 86_400, ge=60, description="how long a decision answers its repeats"
    )
    numeric_ids: frozenset[str] = Field(
        frozenset(), description="fields whose digits are never card numbers, JSON"
    )

    breaker: bool = Field(
        True, description="hold back rules that suddenly decline too much"
    )

    # Doors -----------------------------------------------------------------
    grpc_address: str = Field("127.0.0.1:50051", description="host:port; port 0: any")
    budget_ms: int = Field(50, ge=1, le=60_000, description="a check without deadline")
    batch_budget_ms: int = Field(
        1_000, ge=1, le=60_000, description="a batch of up to 1,000 checks"
    )
    store_budget_ms: int = Field(
        20, ge=1, description="a store that is silent for so long is unavailable"
    )
    reflection: bool = Field(False, description="gRPC server reflection")
    drain_s: float = Field(10.0, ge=0, description="grace for calls in flight")
    drain_notice_s: float = Field(
        0.5, ge=0, description="NOT_SERVING this long before the drain"
    )
    grpc_streams_max: int = Field(
        32, ge=1, description="calls in flight per connection; the rest waits there"
    )
    grpc_checks_max: int = Field(
        4_096, ge=1, description="transactions being decided; more are refused"
    )
    grpc_gather_ms: float = Field(
        0.0,
        ge=0,
        le=20,
        description="under load, this far between micro-batches; 0: off",
    )
    grpc_health_address: str = Field(
        "", description="plaintext health-only host:port, beside TLS; empty: none"
    )
    grpc_connection_age_s: float = Field(
        0.0, ge=0, description="callers reconnect after this, jittered; 0: never"
    )
    http_address: str = Field(
        "", description="host:port of the HTTP door; port 0: any; empty: none"
    )
    http_connections_max: int = Field(
        1_024, ge=1, description="connections of the HTTP door; more are refused"
    )
    http_connections_per_address_max: int = Field(
        0, ge=0, description="of them from one address; 0: no bound of its own"
    )
    http_connection_age_s: float = Field(
        0.0, ge=0, description="HTTP callers reconnect after this, jittered; 0: never"
    )
    http_idle_s: int = Field(
        75,
        ge=1,
        description="an HTTP connection without a request; more than a proxy's",
    )
    tls_cert_file: Path | None = Field(None, description="PEM chain; re-read on change")
    tls_key_file: Path | None = Field(None, description="PEM key of the certificate")
    tls_client_ca_file: Path | None = Field(
        None, description="PEM roots of callers: set, a certificate is required"
    )
    access_file: Path | None = Field(
        None, description="who may call what, YAML; unset: every caller everything"
    )
    jwt_jwks_file: Path | None = Field(
        None, description="keys of callers' tokens (JWKS); re-read on change"
    )
    jwt_issuer: str = Field("", description="the `iss` that a token must carry")
    jwt_audience: str = Field("", description="the `aud` that a token must carry")
    jwt_caller_claim: str = Field(
        "sub", min_length=1, description="the claim that names the caller"
    )
    jwt_leeway_s: float = Field(
        30.0, ge=0, le=300, description="how far the issuer's clock may be off"
    )
    message_bytes_max: int = Field(262_144, ge=1_024, description="one message")
    reply_after: Literal["record", "log"] = "record"
    decision_format: Literal["protobuf", "json"] = "protobuf"
    schema_registry_url: str = Field(
        "", description="values are framed for it; may hold user and password"
    )
    schema_registry_registers: bool = Field(
        True, description="register our schemas; false: they must be there"
    )
    provisional_count_max: int = Field(
        100_000, ge=0, description="provisional decisions kept to be reconciled"
    )
    poll_records_max: int = Field(500, ge=1, le=10_000, description="stream batch")
    commit_interval_s: float = Field(1.0, gt=0, description="offset commits")
    session_timeout_s: float = Field(10.0, ge=3, description="group session")

    # Control plane -----------------------------------------------------------
    control_database_url: SecretStr = Field(
        SecretStr(""),
        description="postgresql://… or sqlite:///FILE; default: a file in STATE_DIR",
    )
    control_single_user: bool = Field(
        False, description="nobody else need approve; every answer says so"
    )
    control_approval_days: float = Field(
        7.0, gt=0, le=365, description="an approval that is not used lapses"
    )
    control_gate_points: float = Field(
        0.5,
        ge=0,
        le=100,
        description="of 100 accepted payments: declining more asks for a reason",
    )
    control_gate_days: int = Field(
        28, ge=1, description="a backtest of fewer days asks for a reason"
    )
    control_gate_payments: int = Field(
        600, ge=1, description="a backtest of fewer accepted payments asks for a reason"
    )
    control_backtest_memory_mb: int = Field(
        2_048, ge=256, description="of a backtest there; what is beyond goes to disk"
    )
    control_address: str = Field(
        "127.0.0.1:8090", description="host:port of `scoring control`; port 0: any"
    )
    control_url: str = Field(
        "", description="the control plane that commands call; empty: its database"
    )
    control_token_file: Path | None = Field(
        None, description="your token there; default: control.token in STATE_DIR"
    )
    control_plain_http: bool = Field(
        default=False, description="commands send your token over http:// to others"
    )
    control_ca_file: Path | None = Field(
        None, description="PEM roots of its certificate; default: the system's"
    )
    control_roles_claim: str = Field(
        "roles", min_length=1, description="the token's claim of roles; a.b: nested"
    )
    control_roles: dict[str, str] = Field(
        default_factory=dict,
        description="roles by the names of an identity provider's groups, JSON",
    )
    control_proxies: frozenset[str] = Field(
        frozenset(),
        description="addresses of a proxy that says who asks, JSON; no other is "
        "believed",
    )
    control_proxy_person_header: str = Field(
        "x-forwarded-user", min_length=1, description="in which the proxy names them"
    )
    control_proxy_roles_header: str = Field(
        "x-forwarded-groups", min_length=1, description="in which it says their roles"
    )
    control_lag_s: float = Field(
        10.0, gt=0, description="a replica without the newest release for so long lags"
    )
    case_lease_min: float = Field(
        30.0, gt=0, le=1_440, description="a case that was taken is somebody's, minutes"
    )
    case_due_h: float = Field(
        24.0, gt=0, le=8_760, description="a case is overdue, hours after its decision"
    )
    case_kept_days: float = Field(
        180.0, ge=1, le=3_650, description="a closed case keeps its payment and notes"
    )
    case_backlog_days: float = Field(
        7.0, ge=0, le=365, description="the first start reads decisions as old as this"
    )

    # Console -----------------------------------------------------------------
    console_address: str = Field(
        "127.0.0.1:8091", description="host:port of `scoring console`; port 0: any"
    )
    console_behind_tls: bool = Field(
        False, description="browsers reach it by a proxy that encrypts"
    )

    # This process ------------------------------------------------------------
    metrics_host: str = Field("127.0.0.1", description="0.0.0.0 inside a container")
    metrics_port: int = Field(0, ge=0, le=65_535, description="0: no metrics server")
    log_format: Literal["console", "json"] = Field(
        "console", description="lines on standard error, for people or for machines"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="of our own lines; of libraries' only warnings are shown"
    )
    log_decisions_share: float = Field(
        0.0, ge=0, le=1, description="of decisions that get a line, by a hash"
    )
    traces_endpoint: str = Field(
        "",
        description="host:port of an OTLP collector (gRPC), https:// before it "
        "for TLS; empty: no traces",
    )
    traces_share: float = Field(
        0.1, ge=0, le=1, description="of calls without a parent that are traced"
    )
    traces_slow_ms: int = Field(
        0, ge=0, description="a call that takes longer is traced, too; 0: none is slow"
    )

    def absolute_files(self) -> dict[str, str]:
        """The files that are named, as the environment of a process elsewhere."""
        return {
            f"{PREFIX}{name.upper()}": str(path.resolve())
            for name, path in self
            if name.endswith("_file") and path is not None
        }


def setting_problem(error: ValueError) -> str:
    """Name the settings that are wrong, never their values: one may be a secret.

    "" where it is no error of settings.

    >>> setting_problem(SettingsError('error parsing value for field "kafka_options"'))
    'SCORING_KAFKA_OPTIONS: is not of its type; see scoring/settings.py'
    """
    if isinstance(error, SettingsError):
        name = str(error).split('"')[1] if '"' in str(error) else "…"
        return f"{PREFIX}{name.upper()}: is not of its type; see scoring/settings.py"
    if not isinstance(error, ValidationError):
        return ""
    return "\n".join(
        f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}"
        for e in error.errors(include_input=False, include_url=False)
    )
