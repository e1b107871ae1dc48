"""Builds what traces calls; without an endpoint none of it is imported."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from scoring.errors import BadArtifact
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings

if TYPE_CHECKING:
    from scoring.telemetry.otlp import SpanSender
    from scoring.telemetry.tracing import Tracing

_MS_PER_S = 1_000
_URL = re.compile(r"https?://[^/\s]+")


@dataclass(frozen=True, slots=True)
class Traced:
    """What begins spans, and what sends them."""

    tracing: Tracing
    sender: SpanSender


async def send_rest(traced: Traced | None) -> None:
    """Send what still waits, for some seconds at most."""
    if traced is not None:
        await asyncio.to_thread(traced.sender.close)


def traces_from(settings: Settings, name: str) -> Traced | None:
    """Traces of a process, begun; None where no collector is named.

    `name` tells the doors apart: grpc-0, stream-1. Raises `BadArtifact`, and
    `ImportError` without the extra.
    """
    endpoint = settings.traces_endpoint
    if not endpoint:
        return None
    if "://" in endpoint and not _URL.fullmatch(endpoint):
        raise BadArtifact(
            f"SCORING_TRACES_ENDPOINT: {endpoint}: host:port, with https:// before it "
            "for TLS and nothing after it"
        )
    from scoring.telemetry.otlp import sender_to
    from scoring.telemetry.tracing import Tracing

    door = "stream" if name.startswith("stream") else "serve"
    topic = Topics(settings.topic_prefix).decisions
    service = f"fraud-scoring-{door}"
    try:
        sender = sender_to(endpoint, service, version("fraud-scoring"), topic)
    except OSError as error:
        raise BadArtifact(
            f"OTEL_EXPORTER_OTLP_CERTIFICATE: {error.filename}: {error.strerror}"
        ) from error
    slow_s = settings.traces_slow_ms / _MS_PER_S
    return Traced(Tracing(settings.traces_share, slow_s, sender.take), sender)
