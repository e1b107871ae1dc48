"""What a file of exchange rates may say, how a bad one is refused, and its version."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rates_parts import DATED, HEAD, rates_of
from streams import Shape, transactions

from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.rates import no_rates
from scoring.core.features.rates_file import doubts, load_rates, shipped_rates
from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

DAY_MS = 86_400_000
JPY_DAYS = [("2026-11-01", "0.006"), ("2026-12-01", "0.007")]
NOVEMBER_MS, DECEMBER_MS = 1_793_491_200_000, 1_796_083_200_000


def load(*rows, head=HEAD):
    text = head + "".join(f"{row}\n" for row in rows)
    return load_rates(text, reference="EUR", name="mine.csv")


def worth(rates, currency, at_ms, minor=1_000):
    paid = Transaction(
        "default", "t", occurred_at_ms=at_ms, amount_minor=minor, currency=currency
    )
    return default_catalogue().converting_by(rates).amount(paid)


def test_a_rate_holds_from_its_day_until_the_next_of_its_currency():
    rates = rates_of(JPY=JPY_DAYS, USD="0.5")
    assert worth(rates, "JPY", NOVEMBER_MS - 1) is None
    assert worth(rates, "JPY", NOVEMBER_MS) == 600
    assert worth(rates, "JPY", DECEMBER_MS - 1) == 600
    assert worth(rates, "JPY", DECEMBER_MS) == 700
    assert worth(rates, "JPY", DECEMBER_MS + 1_000 * DAY_MS) == 700
    assert worth(rates, "EUR", 0) == 1_000


def test_every_active_currency_can_have_a_rate_and_keeps_its_minor_unit():
    rows = [f"2026-11-01,{code},EUR,2" for code in CURRENCY_DIGITS if code != "EUR"]
    rates = load(*rows)
    assert rates.by_currency.keys() == CURRENCY_DIGITS.keys()
    for code, digits in CURRENCY_DIGITS.items():
        two_units = worth(rates, code, DECEMBER_MS, minor=10**digits)
        assert two_units == (100 if code == "EUR" else 200)


def test_the_order_of_rows_and_columns_and_comments_say_nothing():
    plain = rates_of(JPY=JPY_DAYS, USD="0.5")
    other = load(
        "# of the treasury",
        "JPY,7e-3,2026-12-01,EUR",
        "",
        'USD,"0.50",1970-01-01,EUR',
        "JPY, 0.0060 ,2026-11-01,EUR",
        head="\ufeffcurrency,rate,from,reference\r\n",
    )
    assert other == plain


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2026-11-1,USD,EUR,1", "from: '2026-11-1' must be a day such as 2026-11-30"),
        ("20261101,USD,EUR,1", "from: '20261101' must be a day"),
        ("01/11/2026,USD,EUR,1", "must be a day"),
        ("2026-11-31,USD,EUR,1", "must be a day"),
        (",USD,EUR,1", "from: '' must be a day"),
        ("2026-11-01,usd,EUR,1", "currency: 'usd' must be an active ISO 4217"),
        ("2026-11-01,usd,EUR,1", "did you mean 'USD'?"),
        ("2026-11-01,UDS,EUR,1", "did you mean 'USD'?"),
        ("2026-11-01,XAU,EUR,1", "currency: 'XAU' must be an active ISO 4217"),
        ("2026-11-01,HRK,EUR,1", "currency: 'HRK' must be an active ISO 4217"),
        ("2026-11-01,,EUR,1", "currency: '' must be an active ISO 4217"),
        ("2026-11-01,EUR,EUR,1", "currency: EUR is the reference: leave it out"),
        ("2026-11-01,EUR,USD,1", "reference: is USD; the feature definitions count"),
        ("2026-11-01,USD,ERU,1", "reference: 'ERU' must be"),
        ("2026-11-01,USD,EUR,0", "must be above 0"),
        ("2026-11-01,USD,EUR,-1", "rate: '-1' must be a number above 0"),
        ("2026-11-01,USD,EUR,", "rate: '' must be a number above 0"),
        ("2026-11-01,USD,EUR,nan", "rate: 'nan' must be a number"),
        ("2026-11-01,USD,EUR,inf", "rate: 'inf' must be a number"),
        ("2026-11-01,USD,EUR,1e999", "rate: '1e999' must be a number"),
        ('2026-11-01,USD,EUR,"0,87"', "rate: '0,87' must be a number"),
        ("2026-11-01,USD,EUR,0,87", "has 5 cells, must have 4; decimals have a point"),
        ("2026-11-01,USD,EUR", "has 3 cells"),
        ("2026-11-01,LBP,EUR,97000000", "is it the wrong way round?"),
        ("2026-11-01,USD,EUR,0.1234567890123", "has more than 12 decimals"),
        ("2026-10-01,CHF,EUR,2", "from: line 2 has a rate of CHF that day"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_the_nearest_right_one(row, says):
    with pytest.raises(BadArtifact) as refused:
        load("2026-10-01,CHF,EUR,1", row)
    [told] = str(refused.value).splitlines()
    assert told.startswith("mine.csv:3: ")
    assert says in told


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("", "mine.csv:1: must begin with from,currency,reference,rate"),
        ("# nothing\n", "must begin with"),
        ("from;currency;reference;rate\n", "with commas"),
        ("form,currency,reference,rate\n", "'form'; did you mean 'from'?"),
        ("from,currency,rate\n", "must have each of the columns"),
        ("from,from,currency,reference,rate\n", "must have each of the columns"),
        ("2026-11-01,USD,EUR,1\n", "unknown column '2026-11-01'"),
        ('from,"currency,reference,rate\n', "is no CSV"),
    ],
)
def test_a_file_without_its_columns_is_refused(head, says):
    with pytest.raises(BadArtifact) as refused:
        load(head=head)
    assert says in str(refused.value)


def test_all_bad_rows_are_named_up_to_a_bound():
    with pytest.raises(BadArtifact) as refused:
        load(*["2026-11-01,ERU,EUR,1"] * 100)
    told = str(refused.value).splitlines()
    assert len(told) == 21
    assert told[1].startswith("mine.csv:3: ")


def test_a_file_of_no_rows_converts_the_reference_alone():
    assert load() == no_rates("EUR")
    assert worth(load(), "USD", DECEMBER_MS) is None


# Versions ---------------------------------------------------------------------


def test_a_row_for_a_later_day_leaves_earlier_payments_their_version():
    before = rates_of(JPY=JPY_DAYS[:1])
    after = rates_of(JPY=JPY_DAYS)
    assert after.version != before.version
    assert after.version_at(DECEMBER_MS - 1) == before.version_at(DECEMBER_MS - 1)
    assert after.version_at(DECEMBER_MS) == after.version
    assert before.version_at(NOVEMBER_MS - 1) == no_rates("EUR").version


def test_a_changed_rate_of_the_past_changes_every_version_since():
    before = rates_of(JPY=JPY_DAYS)
    after = rates_of(JPY=[("2026-11-01", "0.0061"), JPY_DAYS[1]])
    assert after.version_at(NOVEMBER_MS) != before.version_at(NOVEMBER_MS)
    assert after.version_at(DECEMBER_MS) != before.version_at(DECEMBER_MS)
    assert after.version_at(NOVEMBER_MS - 1) == before.version_at(NOVEMBER_MS - 1)


dated = st.dictionaries(
    st.tuples(st.integers(1, 6), st.sampled_from(["USD", "JPY", "KWD"])),
    st.sampled_from(["0.5", "0.006", "3"]),
    max_size=6,
)


@given(dated, dated, st.integers(0, 8))
def test_rates_of_one_version_convert_all_payments_until_then_alike(one, other, day):
    made = [
        load(*(f"1970-01-0{d},{code},EUR,{rate}" for (d, code), rate in rows.items()))
        for rows in (one, other)
    ]
    versions = {rates.version_at(day * DAY_MS) for rates in made}
    effective = [
        {key: rate for key, rate in rows.items() if key[0] - 1 <= day}
        for rows in (one, other)
    ]
    assert (len(versions) == 1) == (effective[0] == effective[1])


def test_the_shipped_rates_are_of_the_shipped_definitions():
    assert shipped_rates().reference == default_catalogue().currency
    assert worth(shipped_rates(), "USD", 0) == 870


def test_rates_written_the_wrong_way_round_are_doubted():
    wrong = rates_of(USD="1.15", JPY="163", CHF="0.94", PLN="0.24", CZK="0.03")
    assert [doubt.partition(":")[0] for doubt in doubts(wrong)] == ["JPY", "USD"]


def test_nothing_is_doubted_of_the_shipped_rates():
    assert list(doubts(shipped_rates())) == []


def test_the_streams_of_the_parity_tests_run_over_days_on_which_rates_change():
    met = {
        (t.currency, DATED.by_currency[t.currency].at(t.occurred_at_ms))
        for seed in range(3)
        for t in transactions(random.Random(seed), Shape(count=300))
    }
    # Of each currency every rate, and the time before the first.
    assert len(met) == 1 + 4 + 3
