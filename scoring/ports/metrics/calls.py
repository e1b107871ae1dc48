"""Calls: how many, how long, and why they are refused."""

from __future__ import annotations

from scoring.core.decision.decision import Door
from scoring.errors import ScoringError
from scoring.ports.metrics.metric import MetricLabel, Unit, counter, gauge, histogram

# From what nobody notices to what no caller waits for.
LATENCY_BUCKETS_S = (
    0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
)  # fmt: skip
OTHER = "_OTHER"  # OpenTelemetry's word for a name that is none of ours
_SERVICE = "scoring.v1.FraudScoring"
RPCS = (
    "CheckTransaction", "BatchCheckTransactions", "StreamCheckTransactions",
    "GetDecision", "ExplainDecision", "ReportLabels", "ReportEvents",
)  # fmt: skip


def rpc_name(method: str) -> str:
    """An RPC as OpenTelemetry names it.

    >>> rpc_name("GetDecision"), rpc_name(OTHER)
    ('scoring.v1.FraudScoring/GetDecision', '_OTHER')
    """
    return OTHER if method == OTHER else f"{_SERVICE}/{method}"


STATUSES = (
    "OK", "CANCELLED", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "UNAUTHENTICATED",
)  # fmt: skip
# Whose caller left before the answer; no status was sent.
LEFT = 499
HTTP_STATUSES = (
    200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, LEFT, 500, 501,
    503, 504,
)  # fmt: skip
HTTP_ROUTES = (
    "/v1/checks", "/v1/checks:batch", "/v1/labels", "/v1/events",
    "/v1/decisions/{transaction_id}", "/v1/decisions/{transaction_id}/explanation",
    "/v1/health", "/openapi.json",
)  # fmt: skip
CANCELLED = "cancelled"
# Problems that HTTP alone has.
HTTP_PROBLEMS = (
    "draining", "headers-too-large", "malformed", "method-not-allowed", "no-route",
    "too-many-connections", "too-slow", "unsupported-media-type",
)  # fmt: skip


def _codes(kind: type[ScoringError]) -> set[str]:
    return {kind.code}.union(*(_codes(each) for each in kind.__subclasses__()))


TLS_EXPIRED, TLS_UNTRUSTED = "certificate_expired", "certificate_untrusted"
TLS_WITHOUT, TLS_REFUSED_OURS = "no_certificate", "ours_refused"
TLS_PLAIN, TLS_VERSION, TLS_OTHER = "plain_text", "version", "other"
TLS_REASONS = (
    TLS_EXPIRED, TLS_UNTRUSTED, TLS_WITHOUT, TLS_PLAIN, TLS_REFUSED_OURS, TLS_VERSION,
    TLS_OTHER,
)  # fmt: skip
PROBLEMS = tuple(sorted({*_codes(ScoringError), *HTTP_PROBLEMS, CANCELLED, "internal"}))
CALL_DOORS = tuple(door.name.lower() for door in (Door.GRPC, Door.HTTP))
_DOOR = MetricLabel("door", CALL_DOORS)
_SYSTEM = MetricLabel("rpc_system_name", ("grpc",))
_RPC = MetricLabel("rpc_method", (*(f"{_SERVICE}/{name}" for name in RPCS), OTHER))
_ROUTE = MetricLabel("http_route", (*HTTP_ROUTES, OTHER))

RPC_SECONDS = histogram(
    "rpc_server_call_duration_seconds",
    "Time of a gRPC call, from its arrival to its answer.",
    "Which method grew? Then fraud_stage_seconds: which stage.",
    _SYSTEM, _RPC, buckets=LATENCY_BUCKETS_S,
)  # fmt: skip
RPC_CALLS = counter(
    "rpc_server_calls", Unit.TIMES,
    "gRPC calls that ended, by the status that the caller got. A histogram of each "
    "status would be a thousand series more.",
    "fraud_refusals_total and the log say why, by problem.",
    _SYSTEM, _RPC, MetricLabel("rpc_response_status_code", STATUSES),
)  # fmt: skip
RPC_ARRIVED = counter(
    "rpc_server_calls_arrived", Unit.TIMES,
    "gRPC calls that arrived. More than ended and are in flight: gRPC itself refused "
    "them, because the message was larger than SCORING_MESSAGE_BYTES_MAX allows.",
    "Compare with rpc_server_calls_total.",
    _SYSTEM, _RPC,
)  # fmt: skip
HTTP_SECONDS = histogram(
    "http_server_request_duration_seconds",
    "Time of an HTTP request, from its head to its answer.",
    "Which route grew? Then fraud_stage_seconds: which stage.",
    _ROUTE, buckets=LATENCY_BUCKETS_S,
)  # fmt: skip
HTTP_REQUESTS = counter(
    "http_server_requests", Unit.TIMES,
    "HTTP requests that ended, by status; 499: the caller left before the answer.",
    "fraud_refusals_total and the log say why, by problem.",
    _ROUTE, MetricLabel("http_response_status_code", tuple(map(str, HTTP_STATUSES))),
)  # fmt: skip
IN_FLIGHT = gauge(
    "fraud_in_flight_calls", Unit.CALLS,
    "Calls and streams that are not answered yet.",
    "Growing while answers do not: a system outside is slow, or callers are too many.",
    _DOOR,
)  # fmt: skip
REFUSALS = counter(
    "fraud_refusals", Unit.TIMES,
    "Calls, and items of batches and streams, that were refused, by the problem that "
    "the caller reads; cancelled: the caller left.",
    "The log names cause, method and caller once a minute. overloaded: add processes; "
    "deadline-exceeded: see fraud_stage_seconds; invalid, conflict: a caller's fault.",
    _DOOR, MetricLabel("problem", PROBLEMS),
)  # fmt: skip
TLS_HANDSHAKES = counter(
    "fraud_tls_handshakes", Unit.TIMES,
    "TLS handshakes that began, failed ones too. Of gRPC nothing else is known of one "
    "that fails: its core tells nobody.",
    "gRPC: growing while rpc_server_calls_arrived_total does not: callers come and do "
    "not get in; try one with openssl s_client.",
    _DOOR,
)  # fmt: skip
TLS_FAILURES = counter(
    "fraud_tls_failures", Unit.TIMES,
    "TLS handshakes over HTTP that failed, by what was wrong with the caller: its "
    "certificate expired, untrusted or missing; plain text to a port of TLS; "
    "ours_refused: it does not trust our certificate; version: no protocol or cipher "
    "in common.",
    "certificate_expired, certificate_untrusted: tell the caller; ours_refused: renew "
    "ours, or give the caller its root.",
    MetricLabel("reason", TLS_REASONS),
)  # fmt: skip
