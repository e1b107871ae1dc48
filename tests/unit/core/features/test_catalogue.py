"""What a definition file may say, and how a bad one is refused."""

import pytest
from rates_parts import rates_of

from scoring.core.features.catalogue import (
    default_catalogue,
    handbook_catalogue,
    load_catalogue,
)
from scoring.core.features.rates_file import load_rates
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

HEAD = """\
name: mine
currency:
  # In which amounts are compared.
  reference: EUR
entities: {card: card, pair: [card, device]}
features:
"""


def feature(**fields):
    given = {
        "name": "a",
        "entity": "card",
        "statistic": "count",
        "windows": "[1h]",
        "reason_group": "CARD_VELOCITY",
        "description": "x",
    } | fields
    lines = [f"{key}: {value}" for key, value in given.items() if value is not None]
    return "  - " + "\n    ".join(lines) + "\n"


def paid(*, minor, currency):
    return Transaction("default", "t", amount_minor=minor, currency=currency)


def load(*features):
    return load_catalogue(HEAD + "".join(features), name="mine.yaml")


@pytest.mark.parametrize(
    ("fields", "line", "says"),
    [
        ({"windows": "[0m]"}, 10, "must be a span"),
        ({"windows": "[91d]"}, 10, "between 1m and 90d"),
        ({"windows": "[30]"}, 10, "must be a span"),
        ({"statistic": "median"}, 9, "unknown statistic 'median'"),
        ({"entity": "purse"}, 8, "unknown entity; known: card, pair"),
        ({"filter": '"amonut > 3"'}, 13, "did you mean 'amount'?"),
        ({"filter": "hour"}, 13, "must be true or false"),
        ({"filter": "\"hour > 'six'\""}, 13, "a number is needed"),
        ({"filter": '"__import__(1)"'}, 13, "functions are known"),
        ({"filter": f'"{"not " * 150}hour > 6"'}, 13, "nested too deeply"),
        ({"filter": f'"amount{" * 2" * 98} > 1"'}, 13, "nested too deeply"),
        ({"filter": f'"1{"+1" * 490} > 1"'}, 13, "nested too deeply"),
        ({"filter": '"amount < 1e999"'}, 13, "beyond 1e+300"),
        ({"filter": "\"merchant == -'x'\""}, 13, "is not allowed"),
        ({"filter": '"1 +"'}, 13, "not an expression"),
        ({"default": ".inf"}, 13, "finite number"),
        ({"of": "merchant"}, 7, "takes no 'of'"),
        ({"statistic": "distinct"}, 7, "needs the field 'of'"),
        ({"statistic": "distinct", "of": "purse"}, 13, "unknown field 'purse'"),
        ({"windows": None}, 7, "needs windows"),
        ({"windows": "[1h, 1d]"}, 7, "must hold {window}"),
        ({"statistic": "fraud_rate"}, 7, "needs the field 'delay'"),
        ({"reason_grup": "X"}, 13, "did you mean 'reason_group'?"),
        ({"description": '""'}, 12, "at least 1 character"),
        ({"filter": "\"outcome == 'DECLIEND'\""}, 13, "known: APPROVE, CHALLENGE"),
        (
            {"statistic": "max", "filter": "\"outcome == 'DECLINE'\""},
            7,
            "only count, sum, mean, std can be filtered by the outcome",
        ),
        (
            {
                "entity": "transaction",
                "statistic": "value",
                "windows": None,
                "expression": "\"outcome == 'DECLINE'\"",
            },
            12,
            "own outcome is not decided yet",
        ),
    ],
)
def test_a_bad_definition_is_refused_with_line_field_and_remedy(fields, line, says):
    with pytest.raises(BadArtifact) as refused:
        load(feature(**fields))
    message = str(refused.value)
    assert message.startswith(f"mine.yaml:{line}:"), message
    assert says in message


def test_two_features_of_one_name_are_refused_at_the_second():
    with pytest.raises(
        BadArtifact, match=r"mine\.yaml:13: features\.1\.name: 'a' is taken"
    ):
        load(feature(), feature())


def test_rates_of_an_earlier_release_are_refused_with_the_rows_to_write():
    rates = "EUR\n  rates: {USD: 0.87, JPY: 0.6}\n"
    text = (HEAD + feature()).replace("EUR\n", rates)
    with pytest.raises(BadArtifact) as refused:
        load_catalogue(text, name="mine.yaml")
    first, *rows = str(refused.value).splitlines()
    assert first.startswith("mine.yaml:2: currency: delete `rates`")
    assert "SCORING_RATES_FILE" in first
    # As they stand, they convert as they did: 0.6 cents for a yen.
    moved = load_rates("\n".join(rows), reference="EUR", name="rates.csv")
    catalogue = load(feature()).converting_by(moved)
    assert catalogue.amount(paid(minor=1_001, currency="USD")) == 871
    assert catalogue.amount(paid(minor=1_001, currency="JPY")) == 601


@pytest.mark.parametrize(
    ("reference", "says"), [("ERU", "did you mean 'EUR'?"), ("XTS", "ISO 4217")]
)
def test_a_reference_that_no_payment_can_be_made_in_is_refused(reference, says):
    text = (HEAD + feature()).replace("EUR", reference)
    with pytest.raises(BadArtifact, match=r"mine\.yaml:4") as refused:
        load_catalogue(text, name="mine.yaml")
    assert says in str(refused.value)


def test_wording_leaves_the_version_alone_and_meaning_changes_it():
    plain = load(feature())
    assert load(feature(description="other words")).version == plain.version
    assert load(feature(windows="[2h]")).version != plain.version
    assert load(feature(name="b")).version != plain.version
    other = (HEAD + feature()).replace("EUR", "USD")
    assert load_catalogue(other, name="mine.yaml").version != plain.version


def test_a_rate_changes_nothing_of_the_version():
    plain = load(feature())
    assert plain.converting_by(rates_of(USD="0.87")).version == plain.version


def test_amounts_are_converted_in_integers_and_never_guessed():
    catalogue = load(feature()).converting_by(rates_of(USD="0.87", JPY="0.006"))
    assert catalogue.amount(paid(minor=1_001, currency="EUR")) == 1_001
    assert catalogue.amount(paid(minor=1_001, currency="USD")) == 871
    assert catalogue.amount(paid(minor=1_001, currency="JPY")) == 601
    assert catalogue.amount(paid(minor=1_001, currency="KWD")) is None
    assert catalogue.amount(paid(minor=None, currency="EUR")) is None


def test_the_names_are_the_order_of_the_vector():
    catalogue = load(feature(name="b_{window}", windows="[1h, 7d]"), feature())
    assert catalogue.names == ("b_1h", "b_7d", "a")
    assert [f.window_ms for f in catalogue.features.values()] == [
        3_600_000,
        604_800_000,
        3_600_000,
    ]


def test_the_shipped_catalogues_stay_small_enough_for_the_hot_path():
    assert 50 <= len(default_catalogue().names) <= 70
    assert 15 < len(handbook_catalogue().names) <= 40
