"""One trace whole, from a caller to who reads the topic, by OpenTelemetry's own SDK."""

import asyncio
import random
import re
from urllib.request import Request, urlopen

import aiokafka
import grpc
import pytest
from google.protobuf import json_format
from grpc_parts import fresh_id, now_ms, payment
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from otlp_receiver import attributes, receiving
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from served import serving
from stream_parts import Input, Worker, create_topics, send

from scoring.client import CardNumberRefused, Client, Transaction
from scoring.core.transaction.card_number import is_card_number
from scoring.embedded.child import free_port
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

PORT = free_port()
PLANTED = 10_000
CONTEXT = TraceContextTextMapPropagator()
RPC = "scoring.v1.FraudScoring/CheckTransaction"
STAGES = {"observe", "vectorise", "predict", "decide", "encode", "record"}


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def tracer(receiver):
    """A caller's and a consumer's own tracing."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    exporter = OTLPSpanExporter(receiver.address, insecure=True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("shop")
    provider.shutdown()


@pytest.fixture
def settings(  # noqa: PLR0917 - fixtures
    store_url, store_namespace, model_dir, tmp_path, topic_prefix, embedded_bootstrap
):
    return {
        "redis_url": store_url,
        "namespace": store_namespace,
        "model_dir": model_dir,
        "state_dir": tmp_path / "state",
        "kafka_bootstrap": embedded_bootstrap,
        "topic_prefix": topic_prefix,
        "budget_ms": 10_000,
        "batch_budget_ms": 60_000,
        "store_budget_ms": 5_000,
        "log_format": "json",
        "log_decisions_share": 1,
        "traces_share": 0,
    }


async def test_one_trace_is_whole_from_the_caller_to_the_reader_of_the_topic(
    settings, receiver, tracer, topic_prefix, tmp_path
):
    bootstrap = settings["kafka_bootstrap"]
    await create_topics(bootstrap, topic_prefix)
    settings |= {"traces_endpoint": receiver.address, "metrics_port": PORT}
    with serving(http_address="127.0.0.1:0", **settings) as served:
        await shows_the_way_through_grpc(served, receiver, tracer, topic_prefix)
        shows_the_way_through_http(served, receiver, tracer)
        shows_a_refused_call_and_no_other(served, receiver)
        shows_an_exemplar_of_it(receiver)
        shows_no_card_number(served, receiver)
        assert served.stop() == 0
    assert served.errors
    await shows_the_way_through_kafka(settings, receiver, tracer, tmp_path)


async def shows_the_way_through_grpc(served, receiver, tracer, prefix):
    id_ = fresh_id()
    with (
        tracer.start_as_current_span("pay") as paying,
        Client(served.address, timeout_s=30) as shop,
    ):
        shop.check(
            Transaction(
                tenant="default", id=id_, occurred_at_ms=now_ms(), amount_minor=990,
                currency="EUR", card=f"card-{id_[-9:]}",
            )
        )  # fmt: skip
    record = await decision_of(id_, prefix)
    sent = {name: value.decode() for name, value in record.headers}
    with tracer.start_as_current_span("ship", context=CONTEXT.extract(sent)):
        pass
    trace_id = paying.get_span_context().trace_id
    found = receiver.until(
        lambda: len(whole := receiver.of(trace_id)) >= 5 + len(STAGES) and whole
    )
    send_name = f"send {prefix}decisions"
    assert {"pay", RPC, "micro-batch", send_name, "ship", *STAGES} <= found.keys()
    above = {
        "ship": send_name, send_name: RPC, "micro-batch": RPC, RPC: "pay",
        **dict.fromkeys(STAGES, "micro-batch"),
    }  # fmt: skip
    for name, parent in above.items():
        assert found[name].parent_span_id == found[parent].span_id, name
    for name in (*STAGES, "micro-batch"):
        span, batch = found[name], found["micro-batch"]
        assert batch.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= batch.end_time_unix_nano
    told = attributes(found[RPC])
    assert told["rpc.response.status_code"] == "OK"
    assert told["fraud.outcome"] in {"approve", "challenge", "review", "decline"}
    assert attributes(found["observe"])["db.system.name"] == "redis"
    (ours,) = [r for r in receiver.resources if r["service.name"] != "shop"][:1]
    assert ours["service.name"] == "fraud-scoring-serve"
    assert ours.keys() >= {"service.version", "service.instance.id"}


async def decision_of(id_, prefix):
    consumer = aiokafka.AIOKafkaConsumer(
        f"{prefix}decisions", bootstrap_servers=BOOTSTRAP[0],
        auto_offset_reset="earliest", isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            async for record in consumer:
                if ("transaction-id", id_.encode()) in record.headers:
                    return record
    finally:
        await consumer.stop()


BOOTSTRAP = [""]


@pytest.fixture(autouse=True)
def known_bootstrap(embedded_bootstrap):
    BOOTSTRAP[0] = embedded_bootstrap


def shows_the_way_through_http(served, receiver, tracer):
    headers = {"content-type": "application/json"}
    with tracer.start_as_current_span("pay by http") as paying:
        CONTEXT.inject(headers)
    body = json_format.MessageToJson(payment())
    url = f"http://{served.http_address}/v1/checks"
    with urlopen(Request(url, body.encode(), headers), timeout=30) as reply:
        answered = reply.headers["traceresponse"]
    trace_id = paying.get_span_context().trace_id
    name = "POST /v1/checks"
    found = receiver.until(lambda: name in (f := receiver.of(trace_id)) and f)
    span = found[name]
    assert span.parent_span_id == found["pay by http"].span_id
    assert answered == f"00-{trace_id:032x}-{span.span_id.hex()}-01"
    assert attributes(span)["http.response.status_code"] == 200


def shows_a_refused_call_and_no_other(served, receiver):
    """Of calls that nobody samples, the one that was refused."""
    before = len(receiver.spans)
    with grpc.insecure_channel(served.address) as channel:
        stub = stubs.FraudScoringStub(channel)
        stub.CheckTransaction(
            calls.CheckTransactionRequest(transaction=payment()), timeout=30
        )
        with pytest.raises(grpc.RpcError):
            stub.CheckTransaction(
                calls.CheckTransactionRequest(transaction=payment(currency="XX")),
                timeout=30,
            )
    new = receiver.until(lambda: receiver.spans[before:])
    (refused,) = [span for span in new if span.name == RPC]
    assert attributes(refused)["error.type"] == "invalid"


def scraped(*, accept):
    url = f"http://127.0.0.1:{PORT}/metrics"
    with urlopen(Request(url, headers={"accept": accept}), timeout=10) as reply:
        return reply.read().decode()


def shows_an_exemplar_of_it(receiver):
    text = scraped(accept="application/openmetrics-text; version=1.0.0")
    named = {
        sample.exemplar.labels["trace_id"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar
    }
    assert named <= {span.trace_id.hex() for span in receiver.spans}
    assert named


def card_number(rng):
    while True:
        number = "4" + "".join(rng.choices("0123456789", k=15))
        if is_card_number(number):
            return number


def shows_no_card_number(served, receiver):
    rng = random.Random(20)
    planted = {card_number(rng) for _ in range(PLANTED)}
    numbers = sorted(planted)
    sampled = ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01")
    with grpc.insecure_channel(served.address) as channel:
        stub = stubs.FraudScoringStub(channel)
        for start in range(0, PLANTED, 1_000):
            payments = [
                payment(**{rng.choice(("card", "customer", "merchant")): number})
                for number in numbers[start : start + 1_000]
            ]
            stub.BatchCheckTransactions(
                calls.BatchCheckTransactionsRequest(transactions=payments),
                timeout=60,
                metadata=(sampled, ("x-request-id", numbers[start])),
            )
    with pytest.raises(CardNumberRefused), Client(served.address, timeout_s=30) as shop:
        shop.check(
            Transaction(tenant="default", id=numbers[0], occurred_at_ms=now_ms(),
                        amount_minor=1, currency="EUR")
        )  # fmt: skip
    trace_id = int("ab" * 16, 16)
    receiver.until(lambda: receiver.of(trace_id))
    texts = {
        "logs": "\n".join(served.errors + served.lines),
        "metrics": scraped(accept="text/plain"),
        "traces": "\n".join(str(request) for request in receiver.requests),
    }
    for where, text in texts.items():
        shown = set(re.findall(r"(?=(\d{16}))", re.sub(r"[ -]", "", text)))
        assert not shown & planted, where


async def shows_the_way_through_kafka(settings, receiver, tracer, tmp_path):
    env = {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    worker = Worker(env, tmp_path / "worker.log").start()
    id_, headers = fresh_id(), {}
    with tracer.start_as_current_span("produce") as producing:
        CONTEXT.inject(headers)
    try:
        await worker.ready()
        carried = (("traceparent", headers["traceparent"].encode()),)
        one = Input.of(payment(id_), headers=carried)
        prefix = settings["topic_prefix"]
        await send(BOOTSTRAP[0], f"{prefix}transactions", [one])
        record = await decision_of(id_, prefix)
        trace_id = producing.get_span_context().trace_id
        process, sent = f"process {prefix}transactions", f"send {prefix}decisions"
        found = receiver.until(
            lambda: {process, sent} <= (f := receiver.of(trace_id)).keys() and f
        )
    finally:
        worker.stop()
    assert found[process].parent_span_id == found["produce"].span_id
    assert found[sent].parent_span_id == found[process].span_id
    carried_on = CONTEXT.extract(
        {name: value.decode() for name, value in record.headers}
    )
    context = trace.get_current_span(carried_on).get_span_context()
    assert context.span_id.to_bytes(8, "big") == found[sent].span_id
    assert attributes(found[process])["messaging.system"] == "kafka"
