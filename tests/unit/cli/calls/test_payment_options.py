"""A payment said in options, or in a file, is the payment that was meant."""

import io
import json
import sys
from datetime import UTC, datetime

import pytest

from scoring.cli.calls.commands import parser
from scoring.cli.calls.ending import Misuse
from scoring.cli.calls.payment import payment_of
from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.transaction import FIELDS, Transaction

NOON = "2026-11-30T12:00:00+00:00"
NOON_MS = int(datetime.fromisoformat(NOON).timestamp() * 1000)
LEAST = ["--id=t1", f"--occurred-at={NOON}", "--currency=EUR"]


def said(*words):
    return payment_of(parser().parse_args(["check", *words]))


def sample(field):
    """A value of a field, and what a person types for it."""
    if field.type is FieldType.INSTANT:
        return NOON_MS, NOON
    if field.type is FieldType.CODE:
        codes = (*field.codes.members, "DE", "5411", "05")
        value = next(filter(field.codes.holds, codes))
        return value, value
    if field.type is FieldType.NAME:
        return 1, field.members(1).name.lower().replace("_", "-")
    if field.form:
        return field.form.examples[0], field.form.examples[0]
    return {
        FieldType.TEXT: ("one", "one"),
        FieldType.WHOLE: (3, "3"),
        FieldType.MONEY: (0, "0"),
        FieldType.REAL: (1.5, "1.5"),
        FieldType.TEXTS: ({"k": "a=b"}, "k=a=b"),
        FieldType.NUMBERS: ({"k": 2.5}, "k=2.5"),
    }[field.type]


def option(field):
    return f"--{field.path.rpartition('.')[2].replace('_', '-')}"


def test_every_field_of_a_payment_can_be_said_as_an_option():
    words = [f"{option(field)}={sample(field)[1]}" for field in FIELDS]
    assert said(*words) == Transaction(
        **{field.name: sample(field)[0] for field in FIELDS}
    )


def test_what_is_not_said_is_not_known():
    assert said(*LEAST) == Transaction(
        "default", "t1", occurred_at_ms=NOON_MS, currency="EUR"
    )


def test_an_option_is_stronger_than_the_file_and_leaves_the_rest(tmp_path):
    file = tmp_path / "payment.json"
    told = {"id": "t1", "occurredAt": NOON, "currency": "EUR", "amountMinor": "5"}
    file.write_text(json.dumps({**told, "location": {"latitude": 1, "longitude": 2}}))
    found = said(str(file), "--amount-minor=7", "--longitude=3")
    assert (found.amount_minor, found.latitude, found.longitude) == (7, 1.0, 3.0)


def test_a_payment_comes_from_stdin(monkeypatch):
    told = {"id": "t1", "occurred_at": NOON, "currency": "EUR"}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(told)))
    assert said("-").id == "t1"


def test_now_is_this_instant():
    found = said("--id=t1", "--currency=EUR", "--occurred-at=now")
    assert abs(found.occurred_at_ms - datetime.now(UTC).timestamp() * 1000) < 10_000


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["--id=t1", "--currency=EUR"], "occurred_at"),
        ([*LEAST, "--amount-minor=4.5"], "amount_minor"),
        ([*LEAST, "--amount-minor=many"], "amount_minor"),
        ([*LEAST, "--channel=shop"], "--channel"),
        ([*LEAST, "--attributes=plain"], "--attributes"),
        ([*LEAST, "--numbers=k=many"], "--numbers"),
        ([*LEAST, "--latitude=north"], "--latitude"),
        (["--id=t1", "--currency=EUR", "--occurred-at=noon"], "--occurred-at"),
        (["--id=t1", "--occurred-at=2026-11-30T12:00"], "--occurred-at"),
    ],
)
def test_what_cannot_be_meant_names_its_option_or_field(words, field):
    with pytest.raises(Misuse) as refused:
        said(*words)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"id": "a", "id": "b"}', "id"),
        ('{"amountMinor": "1", "amount_minor": "2"}', "amount_minor"),
        ('{"id": "a", "colour": "red"}', "colour"),
        ("[1, 2]", "FILE"),
        ("{'id': 1}", "FILE"),
        ("", "FILE"),
    ],
)
def test_a_file_that_is_no_payment_is_refused_by_what_is_wrong(tmp_path, text, field):
    file = tmp_path / "payment.json"
    file.write_text(text)
    with pytest.raises(Misuse) as refused:
        said(str(file))
    assert refused.value.field == field.replace("FILE", str(file))


def test_no_payment_at_all_says_how_to_give_one():
    with pytest.raises(Misuse, match="name a file, - for stdin"):
        said()
