"""docs/store-records.md against a store: what the page draws is what is there."""

import re
import struct
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import pytest
from contract_parts import fraud, recording
from redis.asyncio import Redis
from store_parts import connected
from streams import DEDUPE_MS, LATENESS_MS, PAID, START_MS, check

from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import order_hash, payload_hash
from scoring.stores.redis.script_compiler import Program, Terms

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "store-records.md").read_text()
PLACED = replace(PAID, latitude=48.25, longitude=-16.5)
KNOWN_MS = START_MS + 3_600_000


def tables(heading: str) -> list[dict[str, list[str]]]:
    """The tables of a section: of each row its first cell, and the others."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [
        {cells[0]: cells[1:] for cells in map(cells_of, text.splitlines())}
        for text in re.findall(r"^\| --- .*\n((?:\|.*\n?)+)", section, re.MULTILINE)
    ]


def cells_of(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def read(table: dict[str, list[str]], value: bytes) -> dict[str, bytes]:
    """The fields that a table draws, in the bytes of a value."""
    fields, end = {}, 0
    for name, (start, size, *_) in table.items():
        at = int(start) if start.strip() else len(value) - int(size)
        assert at >= end, "fields do not overlap"
        end = len(value) if size == "the rest" else at + int(size)
        fields[name] = value[at:end]
    return fields


def number(octets: bytes) -> int:
    return int.from_bytes(octets)


@pytest.fixture
async def stored(store_url, store_namespace):
    """Each key of a namespace in which one payment was decided and labelled."""
    store = await connected(store_url, store_namespace)
    await store.observe([check(PLACED)])
    await store.record([recording(PLACED, logged=b"logged")])
    assert await store.learn([fraud(PLACED, known_at_ms=KNOWN_MS)]) == [True]
    await store.close()
    async with Redis.from_url(store_url) as client:
        keys = [key async for key in client.scan_iter(f"*{store_namespace}:*")]
        yield {
            key.decode(): (
                await client.hgetall(key)
                if await client.type(key) == b"hash"
                else await client.get(key),
                await client.pttl(key),
            )
            for key in keys
        }


def one(stored, ending: str):
    (found,) = [value for key, value in stored.items() if key.endswith(ending)]
    return found


def test_every_key_is_on_the_page(stored):
    (keys,) = tables("Keys")
    patterns = [
        re.sub(r"<\w+>", "[^{}]+?", re.escape(key.strip("`")).replace(r"\<", "<"))
        for key in keys
    ]
    for key, (value, _) in stored.items():
        (kind,) = {
            row[0]
            for row, pattern in zip(keys.values(), patterns, strict=True)
            if re.fullmatch(pattern, key)
        }
        assert kind == ("hash" if isinstance(value, dict) else "string"), key


@pytest.mark.parametrize("number_of", range(5))
def test_an_entitys_record_is_as_it_is_drawn(stored, number_of):
    entity = Program(default_catalogue(), Terms(LATENESS_MS, DEDUPE_MS)).entities[
        number_of
    ]
    name, token = entity.plan.name, getattr(PLACED, entity.plan.fields[0])
    value, life_ms = one(stored, f"{{{name}:default:{token}}}:e")
    head, _, *columns = tables("Events")
    fields = read(head, value) | read(columns[number_of], value)
    assert f"\n{len(value)} bytes for each event." in PAGE
    assert number(fields["time"]) == START_MS
    assert number(fields["id_high"] + fields["id_low"]) == order_hash("t1")
    assert number(fields["count"]) == 1
    expected = {
        "count of amount": struct.pack(">I", 1),
        "sum of amount": bytes(4) + (1_000).to_bytes(6),
        "max of amount": (1_000).to_bytes(7) + bytes(2),
        "last of latitude": struct.pack(">d", 48.25),
        "last of longitude": struct.pack(">d", -16.5),
        "last of located_at": START_MS.to_bytes(6),
        "first": START_MS.to_bytes(6),
        "normal_count of amount": struct.pack(">i", 1),
        "normal_sum of amount": bytes(4) + (1_000).to_bytes(6),
        "normal_high of amount": bytes(10),
        "normal_low of amount": bytes(4) + (1_000_000).to_bytes(6),
        "unusual of amount": bytes(4),
    }
    assert not {
        column: fields[column]
        for column in columns[number_of]
        if column in expected and fields[column] != expected[column]
    }
    ttl_ms = entity.table(Terms(LATENESS_MS, DEDUPE_MS))["ttl"]
    assert ttl_ms - 60_000 < life_ms <= ttl_ms


def test_counterparts_are_as_they_are_drawn(stored):
    value, _ = one(stored, "{card:default:c1}:s")
    (events, _) = one(stored, "{card:default:c1}:e")
    part, sighting, digest = tables("Counterparts")
    met = read(tables("Events")[2], events)
    at = 0
    for column in ("counterpart of merchant", "counterpart of payment"):
        head = read(part, value[at : at + 8])
        assert (number(head["sightings"]), number(head["lost"])) == (1, 0)
        entry = read(sighting, value[at + 8 : at + 20])
        assert entry == {"counterpart": met[column], "time": START_MS.to_bytes(6)}
        at += 20
    assert read(digest, value[at:]) == {"digest": hex_of(value[:at])}


def hex_of(body: bytes) -> bytes:
    return sha1(body, usedforsecurity=False).hexdigest()[:4].encode()


def test_labels_are_as_they_are_drawn(stored):
    value, _ = one(stored, "{terminal:default:x1}:l")
    head, label = tables("Labels")
    assert number(read(head, value[:6])["lost"]) == 0
    fields = read(label, value[6:])
    assert number(fields["time"]) == START_MS
    assert number(fields["id_high"] + fields["id_low"]) == order_hash("t1")
    assert number(fields["version"]) == 1
    assert number(fields["known_at"]) == KNOWN_MS
    assert number(fields["bits"]) % 2 == 1
    assert fields["digest"] == hex_of(value[6:-4])


def test_claims_and_verdicts_are_as_they_are_drawn(stored):
    value, life_ms = one(stored, ":d:default:t1")
    claim, kinds = tables("Claims and decisions")
    fields = read(claim, value)
    assert f"`{fields['kind'].decode()}`" in kinds
    assert fields["kind"] == b"D"
    assert fields["hash"] == payload_hash(PLACED)
    assert b"decision" in fields["body"]
    assert DEDUPE_MS - 60_000 < life_ms <= DEDUPE_MS
    value, _ = one(stored, ":v:default:t1")
    (verdict,) = tables("Verdicts")
    fields = read(verdict, value)
    assert (number(fields["version"]), number(fields["verdict"])) == (1, 1)


def test_what_is_to_be_published_is_named_by_its_transaction(stored):
    value, life_ms = one(stored, ":outbox")
    assert value == {b"default:t1": b"logged"}
    assert life_ms == -1
