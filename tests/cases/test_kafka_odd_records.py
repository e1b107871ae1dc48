"""Records as producers send them: each is decided, or a letter that says what to do.

A byte order mark, Spring's content type in quotes and headers without a value are
everyday. The partition goes on behind every one of them.
"""

import json

import pytest
from aiokafka import AIOKafkaProducer
from stream_parts import count

JSON = [("content-type", b"application/json")]
MARK = b"\xef\xbb\xbf"
HALF = "location.longitude"


def text(id_: str, **fields) -> bytes:
    return json.dumps(
        {
            "id": id_,
            "occurredAt": "2024-03-01T12:00:00Z",
            "amountMinor": "4999",
            "currency": "EUR",
            "card": "card-7",
            "merchant": "shop-3",
        }
        | fields
    ).encode()


DECIDED = {
    "null-header": (text("null-header"), [*JSON, ("trace", None)]),
    "null-type": (text("null-type"), [("content-type", None)]),
    "quoted": (text("quoted"), [("content-type", b'"application/json"')]),
    "spring": (
        text("spring"),
        [
            ("contentType", b"application/json"),
            ("spring_json_header_types", b'{"contentType":"java.lang.String"}'),
            ("__TypeId__", b"com.bank.Payment"),
        ],
    ),
    "charset": (
        text("charset"),
        [("content-type", b"application/json; charset=UTF-8")],
    ),
    "plus": (text("plus"), [("content-type", b"application/vnd.bank.tx+json")]),
    "mark": (MARK + text("mark"), JSON),
    "mark-bare": (MARK + text("mark-bare"), []),
    "space-bare": (b"\n " + text("space-bare"), []),
    "nanos": (text("nanos", occurredAt="2024-03-01T12:00:00.123456789Z"), JSON),
    "offset": (text("offset", occurredAt="2024-03-01T17:30:00+05:30"), JSON),
    "greenwich": (text("greenwich", location={"latitude": 51, "longitude": 0}), JSON),
    "origin": (text("origin", location={"latitude": 0, "longitude": 0}), JSON),
    "nowhere": (text("nowhere", location={}), JSON),
    "null-place": (text("null-place", location=None), JSON),
}
# What is sent, the letter's field, and a word of what its message says is right.
LETTERS = [
    (None, [], "", "no value"),
    (b"", [], "id", "required; so are occurred_at and currency"),
    (text("plain"), [("content-type", b"text/plain")], "", "application/json"),
    (b"[" + text("list") + b"]", JSON, "", "scoring.v1.Transaction"),
    (text("two") + text("two2"), JSON, "", "is no JSON from line 1"),
    (text("naive", occurredAt="2024-03-01T12:00:00"), JSON, "occurred_at", "12:00:00Z"),
    (text("epoch", occurredAt=1_709_294_400_000), JSON, "occurred_at", "12:00:00Z"),
    (text("object", occurredAt={"seconds": 1}), JSON, "occurred_at", "12:00:00Z"),
    (text("float", amountMinor=49.99), JSON, "amount_minor", "whole number"),
    (text("comma", amountMinor="49,99"), JSON, "amount_minor", "whole number"),
    (text("minus", amountMinor=-500), JSON, "amount_minor", "between"),
    (text("lower", channel="ecommerce"), JSON, "channel", "CHANNEL_ECOMMERCE"),
    (text("usd", currency="usd"), JSON, "currency", "ISO 4217"),
    (text("gbr", cardCountry="GBR"), JSON, "card_country", "ISO 3166"),
    (text("mcc", merchantCategory=5732), JSON, "merchant_category", "quotes"),
    (text("more", ipAddress="192.0.2.1"), JSON, "ipAddress", "not a field"),
    (text("both", amount_minor=5000), JSON, "amount_minor", "twice"),
    (b'{"id":"twice","id":"twice"}', JSON, "id", "twice"),
    (text("nul", merchant="shop\x00"), JSON, "merchant", "printable"),
    (text("half", merchant="\ud800"), JSON, "merchant", "quotes"),
    (text("number", card=7), JSON, "card", "quotes"),
    (text("west", location={"latitude": 51}), JSON, HALF, "a 0 too"),
    (text("null", location={"latitude": 51, "longitude": None}), JSON, HALF, "half"),
    (text("north", location={"longitude": 0}), JSON, "location.latitude", "a 0 too"),
]


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_each_odd_record_is_decided_or_a_letter_that_says_what_is_right(stream):
    await stream.worker().ready()
    producer = AIOKafkaProducer(bootstrap_servers=stream.broker.bootstrap)
    await producer.start()
    sent = [(value, headers) for value, headers, *_ in LETTERS]
    at = {}
    for n, (value, headers) in enumerate([*DECIDED.values(), *sent]):
        done = await producer.send_and_wait(
            f"{stream.prefix}transactions",
            value,
            key=b"card-7",
            partition=0,
            headers=headers,
        )
        at[n - len(DECIDED)] = done.offset
    await producer.send_and_wait(
        f"{stream.prefix}transactions", text("last"), key=b"card-7", partition=0
    )
    await producer.stop()
    everything = len(DECIDED) + len(LETTERS) + 1
    counted = await count(stream.broker.bootstrap, stream.prefix, until=everything)
    assert counted.decisions.keys() == {*DECIDED, "last"}
    told = {letter.offset: letter for letter in counted.letters}
    for n, (value, _, field, word) in enumerate(LETTERS):
        letter = told[at[n]]
        assert (letter.field, word in letter.message) == (field, True), (value, letter)
