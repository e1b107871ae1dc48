"""Both synchronous doors say the same of the same payment, id, label and event."""

from urllib.parse import quote

import grpc
import pytest
from fuzzing import MESSAGES, tried
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_parts import event, label, payment
from http_parts import said
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.transaction import FIELDS
from scoring.doors.calls.refusals import KINDS
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.wiring.services import now_ms

pytestmark = pytest.mark.timeout(3_600)
PAN = "4111111111111111"
NOW_MS = now_ms()
# The statuses of HTTP and gRPC that mean the same.
SAME = {kind.status.value: kind.code for kind in KINDS.values()}

texts = st.text(max_size=200)
ids = st.text("ghijklmnop", min_size=12, max_size=12)
floats = st.floats(allow_nan=True, allow_infinity=True)
# Times that canonical JSON can say.
times = st.builds(
    Timestamp,
    seconds=st.integers(-62_135_596_800, 253_402_300_799),
    nanos=st.integers(0, 999_999_999),
)
codes = st.sampled_from(["EUR", "eur", "DE", "UK", "5411", "05", "0", "€€€"]) | texts
OF_A_TYPE = {
    FieldType.TEXT: texts,
    FieldType.CODE: codes,
    FieldType.NAME: st.integers(-9, 9),
    FieldType.WHOLE: st.integers(0, 2**32 - 1),
    FieldType.MONEY: st.integers(-(2**63), 2**63 - 1),
    FieldType.REAL: floats,
    FieldType.INSTANT: times,
    FieldType.TEXTS: st.dictionaries(texts, texts, max_size=5),
    FieldType.NUMBERS: st.dictionaries(texts, floats, max_size=5),
}


@st.composite
def transactions(draw):
    """A good payment in which any values are in up to three fields."""
    sent = payment(draw(ids), at_ms=NOW_MS)
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        outer, _, inner = field.path.rpartition(".")
        within = getattr(sent, outer) if outer else sent
        value = draw(OF_A_TYPE[field.type])
        within.ClearField(inner)
        if field.is_map:
            getattr(within, inner).update(value)
        elif field.type is FieldType.INSTANT:
            getattr(within, inner).CopyFrom(value)
        else:
            setattr(within, inner, value)
    return sent


whole = st.integers(0, 2**32 - 1)
SPOILT = {
    "Label": (
        ("tenant", texts),
        ("transaction_id", texts),
        ("version", whole),
        ("verdict", st.integers(-9, 9)),
        ("source", st.integers(-9, 9)),
        ("known_at", times),
    ),
    "Event": (
        ("tenant", texts),
        ("transaction_id", texts),
        ("event_id", texts),
        ("kind", st.integers(-9, 9)),
        ("occurred_at", times),
        ("amount_minor", st.integers(-(2**63), 2**63 - 1)),
        ("issuer_code", texts),
        ("three_ds_result", st.integers(-9, 9)),
        ("known_at", times),
    ),
}


async def both(doors, sent):
    """Of each doors: its decision, or code, kind, field and words of its refusal."""
    reply = await doors.check(sent)
    if reply.status == 200:
        answer = json_format.ParseDict(reply.json, calls.CheckTransactionResponse())
        answer.decision.ClearField("features")  # by name: of JSON alone
        return answer.decision, await doors.grpc.check(sent)
    return refused_by_http(reply), await answer_of_grpc(doors.grpc.check(sent))


def refused_by_http(reply):
    _, kind, field = reply.refusal
    return SAME[reply.status], kind, field, reply.json["detail"]


async def answer_of_grpc(call):
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        kind = trailing["scoring-problem"]
        field = trailing.get("scoring-field", "")
        return error.code().value[0], kind, field, error.details()


@tried(MESSAGES)
@given(sent=transactions())
def test_both_doors_say_the_same_of_the_same_payment(doors, loop, sent):
    through_http, through_grpc = loop.run_until_complete(both(doors, sent))
    assert through_http == through_grpc


@tried(MESSAGES)
@given(id_=texts.filter(bool), tenant=st.sampled_from(["", "default", PAN]) | texts)
def test_both_doors_say_the_same_of_the_same_id(doors, loop, id_, tenant):
    path = f"/v1/decisions/{quote(id_, safe='')}?tenant={quote(tenant, safe='')}"
    asked = calls.GetDecisionRequest(tenant=tenant, transaction_id=id_)

    async def asked_of_both():
        reply = await doors.get(path)
        call = doors.grpc.stub.GetDecision(asked, timeout=20)
        return refused_by_http(reply), await answer_of_grpc(call)

    through_http, through_grpc = loop.run_until_complete(asked_of_both())
    assert through_http == through_grpc


@st.composite
def reports(draw):
    """A path, the RPC and a list of labels or of events, each with a field spoilt."""
    kind, make = draw(st.sampled_from([("Label", label), ("Event", event)]))
    items = []
    for id_ in draw(st.lists(ids, min_size=1, max_size=4)):
        item = make(id_)
        for field in draw(st.lists(st.sampled_from(SPOILT[kind]), max_size=2)):
            name, value = field[0], draw(field[1])
            item.ClearField(name)
            if isinstance(value, Timestamp):
                getattr(item, name).CopyFrom(value)
            else:
                setattr(item, name, value)
        items.append(item)
    return kind, items


@tried(MESSAGES)
@given(report=reports())
def test_both_doors_say_the_same_of_the_same_labels_and_events(doors, loop, report):
    kind, items = report
    many = kind.lower() + "s"
    asked = getattr(calls, f"Report{kind}sRequest")(**{many: items})

    async def asked_of_both():
        reply = await doors.post(f"/v1/{many}", {many: [*map(said, items)]})
        answer = await getattr(doors.grpc.stub, f"Report{kind}s")(asked, timeout=20)
        return reply.json, json_format.MessageToDict(answer)

    through_http, through_grpc = loop.run_until_complete(asked_of_both())
    assert through_http == through_grpc


TEXTS = [f.path for f in FIELDS if f.is_token]


@pytest.mark.parametrize("path", TEXTS)
def test_a_card_number_is_refused_in_every_field_and_never_said_again(
    doors, loop, path
):
    sent = payment(**{path: PAN}) if path != "id" else payment(PAN)
    through_http, through_grpc = loop.run_until_complete(both(doors, sent))
    assert through_http == through_grpc
    assert through_http[2] == path
    assert PAN not in through_http[3]
