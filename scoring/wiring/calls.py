"""What the synchronous doors of a process share: the calls, and one dispatcher."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from scoring.doors.auth.access import ListedAccess, load_access
from scoring.doors.auth.certificates import CertificateFiles
from scoring.doors.calls.call_watch import CallWatch
from scoring.doors.calls.checks import Checks
from scoring.doors.calls.follow_ups import (
    FollowUpDesk,
    FollowUpSink,
    LogSink,
    StoreSink,
)
from scoring.doors.calls.lookups import Explainer, Explanations, Lookups
from scoring.doors.calls.requests import Intake
from scoring.doors.calls.shared_calls import SharedCalls
from scoring.errors import BadArtifact
from scoring.kafka.producer import nobody_counts
from scoring.pipeline.dispatcher import CallDecider, Dispatcher
from scoring.pipeline.follow_ups import FollowUps
from scoring.pipeline.load_shedding import LoadShedding
from scoring.pipeline.micro_batcher import MicroBatcher, Pacing
from scoring.pipeline.publishing import Publish, Publishing, publish_nothing
from scoring.pipeline.single_flight import SingleFlight
from scoring.ports.events import Event
from scoring.settings import Settings
from scoring.wiring.services import Service, now_ms
from scoring.wiring.watching import show_certificates, show_queue

if TYPE_CHECKING:
    from scoring.doors.auth.jwt import Tokens

_MS_PER_S = 1_000
# A transport hands over one call every few turns of the loop, and a micro-batch takes a
# whole turn: begun at each call, micro-batches are of one, and the queue is in the
# transport, unseen. So many turns without another call take microseconds where nothing
# waits.
_QUIET_TURNS = 8


def calls_from(
    service: Service, load_explainer: Callable[[str], Explainer] | None = None
) -> SharedCalls:
    """What every synchronous door of this process calls; raises `BadArtifact`."""
    settings = service.settings
    intake = _intake_from(service)
    watch = CallWatch(service.calls, traces=service.traces)
    explanations = None
    if load_explainer is not None:
        explanations = _explanations_from(service, load_explainer)
    return SharedCalls(
        intake,
        Checks(
            intake,
            _dispatcher_from(service),
            settings.message_bytes_max,
            settings.batch_budget_ms / _MS_PER_S,
            watch,
        ),
        Lookups(intake, service.store, service.store, explanations),
        FollowUpDesk(intake, _follow_up_sink_from(service), watch),
        watch,
    )


def _intake_from(service: Service) -> Intake:
    settings = service.settings
    return Intake(
        budget_s=settings.budget_ms / _MS_PER_S,
        skew_ms=settings.skew_s * _MS_PER_S,
        exempt=settings.numeric_ids,
        now_ms=now_ms,
        monotonic=time.monotonic,
        access=_access_from(settings, service.telemetry.count),
    )


def _dispatcher_from(service: Service) -> Dispatcher:
    settings, scorer = service.settings, service.scorer
    flights = SingleFlight(time.monotonic)
    shedding = LoadShedding(
        *(time.monotonic, scorer.artifacts.catalogue.amount),
        *(settings.grpc_checks_max, service.telemetry.count),
    )
    decider = CallDecider(scorer, flights, shedding, _publish_from(service))
    pacing = Pacing(
        quiet_turns=_QUIET_TURNS, gather_s=settings.grpc_gather_ms / _MS_PER_S
    )
    batcher = MicroBatcher(decider, pacing)
    show_queue(service.shows, batcher)
    return Dispatcher(batcher, decider, flights, shedding)


def _publish_from(service: Service) -> Publish:
    if service.relay is None:
        return publish_nothing
    return Publishing(service.relay, waits=service.settings.reply_after == "log")


def _follow_up_sink_from(service: Service) -> FollowUpSink:
    follow_ups = FollowUps(service.store, service.store, service.telemetry)
    if service.log is None:
        return StoreSink(follow_ups)
    return LogSink(service.log, service.topics, follow_ups)


def _explanations_from(
    service: Service, load: Callable[[str], Explainer]
) -> Explanations:
    features = service.scorer.artifacts.catalogue.features

    def codes(version: str) -> dict[str, str]:
        policy = service.policies.policy(version, service.scorer.artifacts.in_force)
        if policy is None:
            return {}
        reasons = policy.reasons
        return {
            name: reasons.of(feature.reason_group).specific[0]
            for name, feature in features.items()
        }

    return Explanations(load, codes)


def shown_certificates(service: Service) -> CertificateFiles | None:
    """The files of either door's certificates, watched; raises `BadArtifact`."""
    files = certificates_from(service.settings, service.telemetry.count)
    if files is not None:
        show_certificates(service.shows, files)
    return files


def certificates_from(
    settings: Settings, count: Callable[[Event], None] = nobody_counts
) -> CertificateFiles | None:
    """The files that the settings name, None for none; raises `BadArtifact`."""
    if settings.tls_cert_file is None and settings.tls_key_file is None:
        return None
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        raise BadArtifact(
            "set SCORING_TLS_CERT_FILE and SCORING_TLS_KEY_FILE, or neither"
        )
    return CertificateFiles(
        settings.tls_cert_file,
        settings.tls_key_file,
        settings.tls_client_ca_file,
        count,
    )


def _access_from(
    settings: Settings, count: Callable[[Event], None]
) -> ListedAccess | None:
    tokens = tokens_from(settings)
    if settings.access_file is None:
        if tokens is not None:
            raise BadArtifact(
                "SCORING_JWT_JWKS_FILE: set SCORING_ACCESS_FILE as well: a token says "
                "who calls, not what that caller may do"
            )
        return None
    if settings.tls_client_ca_file is None and tokens is None:
        raise BadArtifact(
            f"{settings.access_file}: callers are known by certificate or token; set "
            "SCORING_TLS_CLIENT_CA_FILE or SCORING_JWT_JWKS_FILE as well"
        )
    return load_access(
        settings.access_file, monotonic=time.monotonic, tokens=tokens, count=count
    )


def tokens_from(settings: Settings, roles_claim: str = "") -> Tokens | None:
    """What verifies tokens, None where no keys are named; raises `BadArtifact`."""
    if settings.jwt_jwks_file is None:
        return None
    if not settings.jwt_issuer or not settings.jwt_audience:
        raise BadArtifact(
            "set SCORING_JWT_ISSUER and SCORING_JWT_AUDIENCE: else a token made for "
            "somebody else would do"
        )
    # Cryptography takes a while to import: only who reads tokens pays for it.
    from scoring.doors.auth.jwt import TokenRules, Tokens

    rules = TokenRules(
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_caller_claim,
        settings.jwt_leeway_s,
        roles_claim,
    )
    return Tokens(settings.jwt_jwks_file, rules, time.time)
