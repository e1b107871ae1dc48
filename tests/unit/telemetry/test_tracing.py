"""Which calls are traced, and what is written of them."""

import subprocess
import sys
from types import SimpleNamespace

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from otlp_receiver import attributes, receiving

from scoring.core.decision.decision import (
    DegradationCode,
    Door,
    Outcome,
    Rung,
    Versions,
)
from scoring.errors import BadArtifact
from scoring.ports.spans import context_of
from scoring.settings import Settings
from scoring.telemetry.otlp import sender_to
from scoring.telemetry.span_messages import spans_of
from scoring.telemetry.tracing import BAD_PER_S_MAX, Tracing
from scoring.wiring.traces import traces_from

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-0"
RPC = "scoring.v1.FraudScoring/CheckTransaction"
CORE = SimpleNamespace(
    outcome=Outcome.APPROVE, rung=Rung.FULL, degradations=(),
    versions=Versions("m1", "p1", "f1"),
)  # fmt: skip


@pytest.fixture
def kept():
    return []


def tracing(kept, *, share=0.0, slow_s=0.0):
    return Tracing(share, slow_s, kept.append, monotonic=lambda: 7.0)


def check_of(span):
    return SimpleNamespace(span=span)


def test_a_parent_that_is_sampled_decides_and_so_does_one_that_is_not(kept):
    none = tracing(kept, share=1.0)
    none.began(Door.GRPC, RPC, PARENT + "0").ended("OK")
    assert not kept
    span = tracing(kept, share=0.0).began(Door.GRPC, RPC, PARENT + "1")
    span.ended("OK")
    assert kept == [span]
    assert span.context.trace_id == int("ab" * 16, 16)
    assert span.parent_id == int("cd" * 8, 16)
    assert span.kept_trace == "ab" * 16


def test_of_calls_without_a_parent_about_the_share_is_kept(kept):
    traces = tracing(kept, share=0.1)
    for _ in range(5_000):
        traces.began(Door.GRPC, RPC, "").ended("OK")
    assert 380 <= len(kept) <= 620
    assert len({span.context.trace_id for span in kept}) == len(kept)


@pytest.mark.parametrize("why", ["refused", "degraded", "slow"])
def test_a_call_that_went_badly_is_kept_though_nobody_sampled_it(kept, why):
    traces = tracing(kept, slow_s=0.001)
    span = traces.began(Door.GRPC, RPC, PARENT + "0")
    core = CORE
    match why:
        case "refused":
            span.problem = "overloaded"
        case "degraded":
            late = SimpleNamespace(code=DegradationCode.HISTORY_UNAVAILABLE)
            core = SimpleNamespace(**{**vars(CORE), "degradations": (late,)})
        case "slow":
            span.began_ns -= 5_000_000
    traces.decided([check_of(span)], [core], [None])
    span.ended("OK")
    assert kept == [span]


def test_an_outage_does_not_trace_every_call(kept):
    traces = tracing(kept)
    for _ in range(10 * BAD_PER_S_MAX):
        span = traces.began(Door.GRPC, RPC, "")
        span.problem = "overloaded"
        span.ended("UNAVAILABLE")
    assert len(kept) == BAD_PER_S_MAX


def test_a_micro_batch_is_under_its_first_call_and_linked_to_the_others(kept):
    traces = tracing(kept, share=1.0)
    calls = [traces.began(Door.GRPC, RPC, "") for _ in range(3)]
    stages = {"queue": 100, "observe": 200, "decide": 50}
    traces.answered([check_of(call) for call in calls], stages)
    for call in calls:
        traces.decided([check_of(call)], [CORE], [None])
        call.ended("OK")
    told = [list(spans_of(call, "decisions")) for call in calls]
    names = [[span.name for span in spans] for spans in told]
    assert names == [["micro-batch", "queue", "observe", "decide", RPC], [RPC], [RPC]]
    batch, queue, observe, decide, first = told[0]
    assert batch.parent_span_id == first.span_id
    others = [calls[i].context.span_id.to_bytes(8, "big") for i in (1, 2)]
    assert [link.span_id for link in batch.links] == others
    assert [link.span_id for (call,) in told[1:] for link in call.links] == [
        batch.span_id
    ] * 2
    assert observe.start_time_unix_nano == queue.end_time_unix_nano
    assert decide.end_time_unix_nano == batch.end_time_unix_nano
    assert observe.kind == Span.SPAN_KIND_CLIENT
    assert attributes(first)["fraud.policy.version"] == "p1"


def test_what_is_published_after_its_call_is_told_after_it(kept):
    span = tracing(kept, share=1.0).began(Door.HTTP, "POST /v1/checks", "")
    publish = span.publishing()
    span.ended("503")
    publish.ended("refused")
    assert kept == [span, publish]
    (called,) = spans_of(span, "decisions")
    (sent,) = spans_of(publish, "decisions")
    assert called.status.code == sent.status.code == Status.STATUS_CODE_ERROR
    assert sent.parent_span_id == called.span_id
    assert context_of(publish.traceparent).span_id.to_bytes(8, "big") == sent.span_id
    unsampled = tracing(kept).began(Door.GRPC, RPC, "")
    later = unsampled.publishing()
    unsampled.ended("OK")
    later.ended()
    assert len(kept) == 2


def test_a_full_queue_and_a_collector_that_refuses_drop_and_count():
    with receiving() as receiver:
        receiver.refuses = grpc.StatusCode.UNAUTHENTICATED
        sender = sender_to(receiver.address, "s", "1", "decisions")
        sender.count_max = 3
        traces = Tracing(1.0, 0.0, sender.take)
        for _ in range(5):
            traces.began(Door.GRPC, RPC, "").ended("OK")
        receiver.until(lambda: sender.fates["failed"] == 3)
        assert sender.fates["full"] == 2
        receiver.refuses = None
        traces.began(Door.GRPC, RPC, "").ended("OK")
        sender.close(within_s=10)
        assert sender.fates["sent"] == 1
        assert [span.name for span in receiver.spans] == [RPC]


def test_without_traces_nothing_of_opentelemetry_is_imported():
    """By us: redis-py takes its SDK wherever that is installed, as it is here."""
    script = (
        "import sys; from scoring.wiring.traces import traces_from;"
        "from scoring.settings import Settings;"
        "assert traces_from(Settings(), 'grpc-0') is None;"
        "import scoring.wiring.services, scoring.wiring.grpc_app;"
        "print([m for m in sys.modules if m.startswith('opentelemetry.proto')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "written", ["HTTPS://c:4317", "grpcs://c:4317", "http://c:4317/"]
)
def test_what_looks_like_tls_is_never_sent_in_the_clear(written):
    with pytest.raises(BadArtifact, match="SCORING_TRACES_ENDPOINT"):
        traces_from(Settings(traces_endpoint=written), "grpc-0")
