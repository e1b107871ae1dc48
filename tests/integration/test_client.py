"""The Python client: typed answers, errors by name, both ways of calling."""

import asyncio
from dataclasses import replace

import pytest
from certificates import Authority
from grpc_parts import fresh_id, open_door

from scoring.client import (
    AsyncClient,
    CallIds,
    CardNumberRefused,
    Client,
    DeadlineExceeded,
    Decision,
    EventConflict,
    InvalidTransaction,
    Label,
    LifecycleEvent,
    LifecycleKind,
    NotFound,
    Overloaded,
    ScoringError,
    Security,
    Transaction,
    TransactionConflict,
    Unavailable,
    Verdict,
)
from scoring.client.channel import SERVICE_CONFIG
from scoring.errors import LogUnavailable
from scoring.wiring.services import now_ms


def payment(**fields):
    known = {"id": fresh_id(), "occurred_at_ms": now_ms(), "amount_minor": 990}
    return Transaction(**{"tenant": "default", "currency": "EUR", **known, **fields})


@pytest.fixture
async def door(model_dir):
    async with open_door(model_dir) as door:
        yield door


@pytest.fixture
async def client(door):
    async with AsyncClient(door.server.address, timeout_s=5) as client:
        yield client


async def test_a_check_is_answered_with_a_decision(client):
    one = payment()
    decision = await client.check(one)
    assert isinstance(decision, Decision)
    assert decision.core.transaction_id == one.id
    assert await client.check(one) == decision
    assert await client.decision(one.id) == decision


async def test_a_mistake_names_its_field_without_repeating_it(client):
    with pytest.raises(InvalidTransaction) as refused:
        await client.check(payment(currency="euro"))
    assert refused.value.field == "currency"
    assert str(refused.value).count("currency:") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_minor", "500"),
        ("amount_minor", 5.5),
        ("channel", "ECOMMERCE"),
        ("card", 42),
        ("attributes", {"a": 1}),
    ],
)
async def test_a_value_of_another_type_is_refused_by_its_field(client, field, value):
    odd = replace(payment(), **{field: value})
    for asked in (client.check(odd), client.check_many([payment(), odd])):
        with pytest.raises(InvalidTransaction) as refused:
            await asked
        assert refused.value.field == field
        assert str(value) not in str(refused.value).split(": ", 1)[1].split()


async def test_a_card_number_is_refused_by_a_name_of_its_own(client):
    odd = payment(card="4111 1111 1111 1111")
    with pytest.raises(CardNumberRefused) as refused:
        await client.check(odd)
    (item,) = await client.check_many([odd])
    assert type(item) is CardNumberRefused
    assert refused.value.field == item.field == "card"
    assert "4111" not in f"{refused.value}{item}"


async def test_another_payload_under_the_same_id_is_a_conflict(client):
    one = payment()
    await client.check(one)
    with pytest.raises(TransactionConflict) as refused:
        await client.check(replace(one, amount_minor=1, card="tok-other"))
    assert refused.value.differing == ("amount_minor", "card")


async def test_many_are_answered_in_order_errors_among_them(client):
    good, bad = payment(), payment(amount_minor=-1)
    first, second = await client.check_many([good, bad])
    assert isinstance(first, Decision)
    assert isinstance(second, InvalidTransaction)
    assert second.field == "amount_minor"


async def test_a_stream_answers_each_by_its_id(client):
    payments = [payment() for _ in range(40)]

    async def sending():
        for one in payments:
            yield one

    answers = dict([pair async for pair in client.check_stream(sending())])
    assert set(answers) == {one.id for one in payments}
    assert all(isinstance(answer, Decision) for answer in answers.values())


async def test_a_dry_run_on_a_stream_leaves_nothing(client):
    async def sending():
        yield payment(id="t-dry")

    (pair,) = [p async for p in client.check_stream(sending(), dry_run=True)]
    assert isinstance(pair[1], Decision)
    with pytest.raises(ScoringError):
        await client.decision("t-dry")


async def test_an_explanation_adds_up_to_the_margin(client):
    one = payment()
    decision = await client.check(one)
    told = await client.explanation(one.id)
    total = told.base + sum(each.contribution for each in told.contributions)
    assert total == pytest.approx(decision.core.margin, abs=1e-4)


async def test_an_overload_says_when_to_come_again(door, client):
    async def sending():
        yield payment()

    door.dispatcher.shedding.checks_max = 0
    (streamed,) = [answer async for _, answer in client.check_stream(sending())]
    with pytest.raises(Overloaded) as refused:
        await client.check(payment())
    assert type(streamed) is Overloaded
    assert streamed.retry_after_ms == refused.value.retry_after_ms > 0


async def test_a_call_may_have_a_deadline_of_its_own(door, client):
    door.log_is_away()
    with pytest.raises(TimeoutError):
        await client.check(payment(), timeout_s=0.3)
    with pytest.raises(TimeoutError):
        await client.check_many([payment()], timeout_s=0.3)


async def test_a_deadline_that_passed_is_an_error_of_ours_and_a_timeout(door, client):
    door.log_is_away()
    with pytest.raises(DeadlineExceeded) as passed:
        await client.check(payment(), timeout_s=0.3)
    assert isinstance(passed.value, ScoringError)
    assert isinstance(passed.value, TimeoutError)


TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"


async def test_a_call_has_its_names_back_and_its_decision_the_trace(client):
    ids, one = CallIds("gw-17", TRACE), payment()
    decision = await client.check(one, ids=ids)
    assert ids == CallIds("gw-17", TRACE)
    assert decision.trace.traceparent == TRACE
    for asking in (client.check_many([one], ids=ids), client.decision(one.id, ids=ids)):
        await asking
        assert ids == CallIds("gw-17", TRACE)


async def test_a_stream_has_its_names_back_when_it_ends(client):
    async def sending():
        yield payment()

    ids = CallIds("gw-18", TRACE)
    assert [_ async for _ in client.check_stream(sending(), ids=ids)]
    assert ids == CallIds("gw-18", TRACE)


async def test_what_names_no_call_is_not_returned(client):
    ids = CallIds("two words", "card 4111111111111111")
    await client.check(payment(), ids=ids)
    assert ids == CallIds("", "")
    await client.check(payment())


@pytest.mark.parametrize("id_", ["x" * 128, "x" * 129])
async def test_a_name_has_an_end(client, id_):
    ids = CallIds(id_)
    await client.check(payment(), ids=ids)
    assert ids.request_id == (id_ if len(id_) <= 128 else "")


async def test_a_refusal_carries_the_name_of_its_call(client):
    with pytest.raises(InvalidTransaction) as refused:
        await client.check(payment(currency="euro"), ids=CallIds("gw-19"))
    assert refused.value.request_id == "gw-19"
    async with AsyncClient("127.0.0.1:1", timeout_s=5) as nowhere:
        with pytest.raises(Unavailable) as refused:
            await nowhere.check(payment(), ids=CallIds("gw-20"))
    assert refused.value.request_id == "gw-20"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_nobody_but_the_caller_says_how_long_a_payment_can_wait(kind):
    with pytest.raises(TypeError, match="timeout_s"):
        kind("127.0.0.1:1")


async def test_the_time_of_the_client_holds_for_every_call_and_each_payment(door):
    door.log_is_away()  # nothing is answered before the deadline
    asking = AsyncClient(door.server.address, timeout_s=0.2)

    async def sending():
        yield payment()

    async with asyncio.timeout(10):
        (streamed,) = [answer async for _, answer in asking.check_stream(sending())]
        assert isinstance(streamed, DeadlineExceeded)
        with pytest.raises(DeadlineExceeded):
            await asking.check(payment())
    await asking.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.decision("t"),
        lambda client: client.explanation("t"),
        lambda client: client.report([]),
    ],
    ids=["decision", "explanation", "report"],
)
async def test_no_call_has_a_time_of_its_own_that_nobody_said(ask):
    silent = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with asyncio.timeout(5), AsyncClient(f"127.0.0.1:{port}", timeout_s=0.2) as c:
        with pytest.raises(DeadlineExceeded):
            await ask(c)
    silent.close()


async def test_no_time_is_no_time_and_never_the_default(door):
    client = AsyncClient(door.server.address, timeout_s=60)
    door.log_is_away()  # nothing is answered before the deadline

    def ask():
        with Client(door.server.address, timeout_s=60) as blocking:
            with pytest.raises(DeadlineExceeded):
                blocking.check(payment(), timeout_s=0)
            with pytest.raises(DeadlineExceeded):
                raise blocking.check_many([payment()], timeout_s=0)[0]

    async with asyncio.timeout(10):
        with pytest.raises(DeadlineExceeded):
            await client.check(payment(), timeout_s=0)
        with pytest.raises(DeadlineExceeded):
            raise (await client.check_many([payment()], timeout_s=0))[0]
        await asyncio.to_thread(ask)
        await client.close()


async def test_what_was_away_for_a_moment_is_tried_again_and_decided_once(door, client):
    published = []

    async def publish(_checks: object, answers: list[object]) -> None:
        published.append(answers)
        if len(published) == 1:
            raise LogUnavailable("for a moment")

    door.dispatcher.decider.publish = publish
    one = payment()
    assert (await client.check(one)) == (await client.decision(one.id))
    assert [[answer.first for answer in answers] for answers in published] == [
        *([True], [False])
    ]


async def test_labels_are_taken_one_by_one(client):
    def label(version):
        return Label("default", fresh_id(), version, Verdict.FRAUD, now_ms())

    taken, refused = await client.report([label(1), label(0)])
    assert taken is None
    assert isinstance(refused, InvalidTransaction)


async def test_events_are_taken_one_by_one_and_told_with_their_decision(client):
    one, known = payment(), now_ms()
    await client.check(one)

    def event(id_, kind=LifecycleKind.ISSUER_DECLINED, code="05"):
        return LifecycleEvent(
            "default", one.id, id_, kind, known, issuer_code=code, known_at_ms=known
        )

    label = Label("default", one.id, 1, Verdict.FRAUD, known)
    assert await client.report([label]) == [None]
    taken, refused = await client.report_events([event("e1"), event("")])
    assert taken is None
    assert isinstance(refused, InvalidTransaction)
    assert refused.field == "event_id"
    life = await client.life(one.id)
    assert life.decision == await client.decision(one.id)
    assert [each.event_id for each in life.events] == ["e1"]
    assert [each.verdict for each in life.labels] == [Verdict.FRAUD]
    assert await client.report_events([event("e1")]) == [None]
    (other,) = await client.report_events([event("e1", code="51")])
    assert isinstance(other, EventConflict)


async def test_an_unknown_decision_is_an_error_and_no_retry(client):
    with pytest.raises(NotFound):
        await client.decision(fresh_id())
    with pytest.raises(NotFound):
        await client.explanation(fresh_id())


async def test_nobody_listening_is_unavailable():
    async with AsyncClient("127.0.0.1:1", timeout_s=5) as client:
        with pytest.raises(Unavailable):
            await client.check(payment())


async def test_the_blocking_client_gives_the_same_answers(door):
    def ask():
        with Client(door.server.address, timeout_s=5) as client:
            one = payment()
            decision = client.check(one)
            (again,) = client.check_many([one])
            assert again == decision == client.decision(one.id)
            assert client.explanation(one.id).core == decision.core
            (taken,) = client.report(
                [Label("default", one.id, 1, Verdict.LEGITIMATE, now_ms())]
            )
            assert taken is None
            with pytest.raises(InvalidTransaction):
                client.check(payment(id=""))

    await asyncio.to_thread(ask)


async def test_a_client_with_a_certificate_reaches_a_door_that_wants_one(
    model_dir, tmp_path
):
    authority = Authority.made(tmp_path)
    server = authority.leaf("server", san="DNS:fraud.internal")
    ours = authority.leaf("gateway", san="URI:spiffe://bank/gateway")
    security = Security(authority.root, ours.cert, ours.key, "fraud.internal")
    async with (
        open_door(
            model_dir,
            tls_cert_file=server.cert,
            tls_key_file=server.key,
            tls_client_ca_file=authority.root,
        ) as door,
        AsyncClient(door.server.address, timeout_s=5, security=security) as client,
    ):
        assert (await client.check(payment())).core.reasons


def test_retries_are_for_lost_connections_only_and_throttled():
    (method,) = SERVICE_CONFIG["methodConfig"]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert method["retryPolicy"]["maxAttempts"] == 2
    assert "hedgingPolicy" not in method
    assert SERVICE_CONFIG["retryThrottling"]["tokenRatio"] <= 0.1
