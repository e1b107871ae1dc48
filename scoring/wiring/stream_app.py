"""Builds the stream door; the gRPC server does not pay for importing Faust."""

from __future__ import annotations

from scoring.doors.stream.faust_app import StreamOptions
from scoring.doors.stream.transaction_lookup import PaymentArchive
from scoring.doors.stream.worker import StreamDoor
from scoring.errors import BadArtifact
from scoring.wiring.connections import CONTENT_TYPES
from scoring.wiring.services import Service

_MS_PER_S = 1_000


def stream_door_from(
    service: Service, *, archive: PaymentArchive | None = None
) -> StreamDoor:
    """The stream door of a service, not yet streaming; raises `BadArtifact`.

    In the `archive` it looks for payments that labels name and nothing else knows.
    """
    s = service.settings
    if service.log is None:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    options = StreamOptions(
        bootstrap=s.kafka_bootstrap,
        group=service.topics.group,
        topics=service.topics,
        client=s.kafka_options,
        content_type=CONTENT_TYPES[s.decision_format],
        fetch_wait_ms=s.fetch_wait_ms,
        session_timeout_s=s.session_timeout_s,
        commit_interval_s=s.commit_interval_s,
        poll_records_max=s.poll_records_max,
        message_bytes_max=s.message_bytes_max,
        skew_ms=s.skew_s * _MS_PER_S,
        exempt=s.numeric_ids,
        directory=s.state_dir / "faust",
    )
    return StreamDoor(
        options,
        service.scorer,
        service.store,
        service.log,
        service.telemetry,
        service.liveness,
        archive,
        service.traces,
    )
