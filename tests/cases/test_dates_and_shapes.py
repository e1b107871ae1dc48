"""Tables are described with every assumption, and what two readings fit is asked."""

from __future__ import annotations

import pytest
from cases_tables import MAPPING, csv_file, rows_of, table

from scoring.core.transaction.transaction import never
from scoring.errors import BadArtifact
from scoring.tables.choose import chosen_mapping
from scoring.tables.describe import describe
from scoring.tables.mapping import load_mapping


def dated(folder, *dates):
    rows = [f"a{i},{at},10.50,EUR,c1,0" for i, at in enumerate(dates)]
    return csv_file(folder, *rows)


@pytest.mark.parametrize("form", ["0{}/04/2024 10:00:00", "04/0{}/2024 10:00:00"])
def test_days_that_may_be_months_are_asked_for(tmp_path, form):
    path = dated(tmp_path, *(form.format(i) for i in range(1, 10)))
    with pytest.raises(BadArtifact, match="does not tell days from months"):
        table(path)


@pytest.mark.parametrize(
    ("dates", "iso"),
    [
        (["11/04/2024 10:00", "25/04/2024 10:00"], "2024-04-11T10:00"),
        (["11.04.2024 10:00:05", "12.04.2024 10:00:06"], "2024-04-11T10:00:05"),
        (["4/11/2024 10:01 PM", "4/13/2024 10:02 PM"], "2024-04-11T22:01"),
        (["20240411", "20240412"], "2024-04-11T00:00"),
        (["1712829600", "1712829601"], "2024-04-11T10:00"),
        (["1712829600000", "1712829601000"], "2024-04-11T10:00"),
        (["2024-04-11 10:00:00 UTC", "2024-04-11 11:00:00 UTC"], "2024-04-11T10:00"),
    ],
)
def test_a_format_that_only_one_reading_fits_is_proposed(tmp_path, dates, iso):
    from datetime import UTC, datetime

    row = rows_of(table(dated(tmp_path, *dates)))["a0"]
    at = datetime.fromtimestamp(row.transaction.occurred_at_ms / 1000, UTC)
    assert at == datetime.fromisoformat(iso).replace(tzinfo=UTC)


def test_a_day_that_proves_the_order_may_come_last(tmp_path):
    dates = [f"{1 + i % 12:02d}/04/2024 10:00:00" for i in range(2_000)]
    rows = rows_of(table(dated(tmp_path, *dates, "25/04/2024 10:00:00")))
    first = rows["a1"].transaction.occurred_at_ms
    assert first == 1_712_052_000_000  # 2 April


def test_a_counter_is_not_replayed_in_1970(tmp_path):
    path = dated(tmp_path, *(str(86_400 + 40 * i) for i in range(20)))
    with pytest.raises(BadArtifact, match="counts from a start"):
        table(path)
    mapping = describe(path).text + "time: {origin: 2017-12-01, unit: s}\n"
    at_ms = rows_of(table(path, mapping))["a0"].transaction.occurred_at_ms
    assert at_ms == 1_512_172_800_000
    without = table(path, describe(path).text)
    assert (len(without), without.account.refused.total()) == (0, 20)


SPARKOV = (
    ",trans_date_trans_time,cc_num,merchant,category,amt,lat,long,trans_num,"
    "unix_time,merch_lat,merch_long,is_fraud"
)
SPARKOV_ROW = (
    "{i},2019-01-01 00:00:1{i},tok{i},shop,misc_net,4.0{i},36.1,-81.1,n{i},{i},40.5,"
    "-90.5,0"
)
SHAPES = {
    "sparkov": (SPARKOV, SPARKOV_ROW),
    "paysim": (
        "step,type,amount,nameOrig,oldbalanceOrg,nameDest,isFraud,isFlaggedFraud",
        "{i},PAYMENT,9839.6{i},C{i},170136.0,M{i},0,0",
    ),
    "tabformer": (
        "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,MCC,Is Fraud?",
        "0,{i},2002,9,1,06:2{i},$134.0{i},Swipe Transaction,352{i},5300,No",
    ),
    "ieee": (
        "TransactionID,isFraud,TransactionDT,TransactionAmt,card1,card4,DeviceInfo",
        "298700{i},0,8640{i},68.5,1392{i},visa,",
    ),
    "creditcard": ("Time,V1,V2,Amount,Class", "{i},-1.35,0.07,149.6{i},0"),
    "baf": ("fraud_bool,income,month,payment_type", "0,0.{i},1,AA"),
}


def described(folder, name):
    header, row = SHAPES[name]
    path = csv_file(folder, *(row.format(i=i) for i in range(9)), header=header)
    return path, describe(path)


def test_sparkov_is_located_where_the_payment_was(tmp_path):
    path, proposal = described(tmp_path, "sparkov")
    mapping = load_mapping(proposal.text, name="m")
    assert mapping.columns["latitude"] == "merch_lat"
    assert mapping.columns["id"] == "trans_num"
    assert "merchant_category" not in mapping.columns  # the doors refuse misc_net
    said = "\n".join(proposal.remarks)
    for assumed in ("EUR is assumed", "merch_lat", "read as UTC", "major units"):
        assert assumed in said
    assert "not used" in said
    assert "category" in said
    assert rows_of(table(path))["n3"].transaction.latitude == 40.5


def test_tabformer_needs_nothing_but_its_shape(tmp_path):
    path, proposal = described(tmp_path, "tabformer")
    assert "USD is assumed" in "\n".join(proposal.remarks)
    first = rows_of(table(path))["row-1"].transaction
    assert (first.amount_minor, first.currency, first.card) == (13_400, "USD", "0-0")
    assert first.occurred_at_ms == 1_030_861_200_000


@pytest.mark.parametrize("name", ["paysim", "ieee", "creditcard", "baf"])
def test_a_shape_without_an_origin_is_asked_about(tmp_path, name):
    path, proposal = described(tmp_path, name)
    assert not proposal.complete
    with pytest.raises(BadArtifact, match=r"counts from a start|no column looks"):
        table(path)


def test_a_column_called_target_that_holds_merchants_is_no_label(tmp_path):
    rows = [f"a{i},2024-03-01T10:00:00Z,1.50,shop{i}" for i in range(9)]
    path = csv_file(tmp_path, *rows, header="id,timestamp,amount,Target")
    proposal = describe(path)
    assert "fraud" not in load_mapping(proposal.text, name="m").columns
    assert any("not column 'Target'" in remark for remark in proposal.remarks)
    assert never("merchant_category", "misc_net")


def test_the_values_of_a_label_are_told_of_all_rows_not_of_the_first(tmp_path):
    rows = [f"a{i},2024-03-01T10:00:00Z,1.50,EUR,c1,{i // 1_199}" for i in range(1_200)]
    told = describe(csv_file(tmp_path, *rows)).remarks
    assert any("with values 0, 1;" in remark for remark in told)


def test_values_of_a_label_that_are_none_are_named_before_anything_is_learned(tmp_path):
    rows = [f"a{i},2024-03-01T10:00:00Z,1.50,EUR,c1,{i % 3 - 1}" for i in range(9)]
    told = describe(csv_file(tmp_path, *rows)).remarks
    assert any(remark.startswith("fraud: -1: no label") for remark in told)


NUMBERS = ["4111111111111111", "5500005555555559", "4111111111111111"]
NUMBERED = [
    f"a{i},2024-03-01T10:0{i}:00Z,1.50,EUR,{n},0" for i, n in enumerate(NUMBERS)
]


def test_card_numbers_are_numbered_only_where_the_mapping_says_so(tmp_path):
    path = csv_file(tmp_path, *NUMBERED)
    proposal = describe(path)
    assert any("by tokenise: [card]" in remark for remark in proposal.remarks)
    refused = table(path, proposal.text)
    assert (len(refused), refused.account.refused.total()) == (0, 3)
    mapping = proposal.text + "tokenise: [card]\n"
    for read in (table(path, mapping), table(path, mapping)):
        cards = [row.transaction.card for row in rows_of(read).values()]
        assert cards == ["card-1", "card-2", "card-1"]


@pytest.mark.parametrize("field", ["id", "amount"])
def test_what_is_no_token_of_somebody_is_not_numbered(tmp_path, field):
    with pytest.raises(BadArtifact, match=f"names {field}, not one of card, customer"):
        table(csv_file(tmp_path, *NUMBERED), MAPPING + f"tokenise: [{field}]\n")


def test_half_a_location_is_refused_as_half(tmp_path):
    header = "id,timestamp,amount,currency,lat,lon"
    rows = [
        f"a{i},2024-03-01T10:00:00Z,1.50,EUR,{at}" for i, at in enumerate(["4,", ",4"])
    ]
    read = table(csv_file(tmp_path, *rows, header=header))
    told = "is missing; half a location is none: send latitude and longitude, a 0 too"
    assert [cause.partition(", or no")[0] for cause in read.account.refused] == [
        f"location.longitude: {told}",
        f"location.latitude: {told}",
    ]


def test_a_time_of_day_is_worth_more_than_the_better_name(tmp_path):
    header = "id,transaction_date,event_time,amount,card"
    rows = [f"a{i},2024-03-01,2024-03-01 10:0{i}:00,1.50,c" for i in range(9)]
    path = csv_file(tmp_path, *rows, header=header)
    assert load_mapping(describe(path).text, name="m").columns["occurred_at"] == (
        "event_time"
    )
    at_ms = rows_of(table(path))["a3"].transaction.occurred_at_ms
    assert at_ms == 1_709_287_380_000


def test_days_without_a_time_of_day_are_said(tmp_path):
    path = csv_file(
        tmp_path,
        *(f"a{i},2024-03-0{i + 1},1.50,c" for i in range(9)),
        header="id,date,amount,card",
    )
    assert any("without a time of day" in said for said in describe(path).remarks)


@pytest.mark.parametrize(
    ("zones", "hour"),
    [
        (["CET"], 9),
        (["America/New_York"], 15),
        (["CET", "EET"], None),
        (["here"], None),
        (["Europe"], None),
    ],
)
def test_a_column_that_names_the_zone_is_believed_or_asked_about(tmp_path, zones, hour):
    rows = [
        f"a{i},2024-03-01 10:0{i}:00,{zones[i % len(zones)]},1.50,c" for i in range(9)
    ]
    path = csv_file(
        tmp_path, *rows, header="Psp Reference,Creation Date,TimeZone,Amount,Card"
    )
    proposal = describe(path)
    if hour is None:
        assert any("does not name one zone" in said for said in proposal.asked)
        return
    assert not any("UTC" in said for said in proposal.remarks)
    at_ms = rows_of(table(path))["a0"].transaction.occurred_at_ms
    assert at_ms == (1_709_251_200 + hour * 3_600) * 1_000


@pytest.mark.parametrize(
    ("column", "values"),
    [("success", ["true", "false"]), ("Status", ["Paid", "Failed"])],
)
def test_what_may_say_the_outcome_is_not_left_unsaid(tmp_path, column, values):
    rows = [f"a{i},2024-03-01T10:00:00Z,1.50,c,{values[i % 2]}" for i in range(9)]
    path = csv_file(tmp_path, *rows, header=f"id,created,amount,card,{column}")
    said = [r for r in describe(path).remarks if r.startswith("outcome: not column")]
    assert len(said) == 1
    assert all(value in said[0] for value in values)


@pytest.mark.parametrize("zone", ["here", "Europe", "../UTC", "é", "a\\0b", ""])
def test_a_zone_that_there_is_not_is_refused_by_the_mapping(zone):
    with pytest.raises(BadArtifact, match="must be a zone such as"):
        load_mapping(
            "columns: {id: i, occurred_at: t, amount: a, currency: c}\n"
            f'time: {{zone: "{zone}"}}',
            name="m",
        )


def test_a_column_of_currencies_with_some_that_are_none_is_not_assumed_away(tmp_path):
    """One currency for all would make yen of dinars: those rows are refused."""
    codes = ["EUR", "JPY", "KWD", "XXY", "USD", ""] * 5
    rows = [f"a{i},2024-03-01T10:00:00Z,5,{c},c{i},0" for i, c in enumerate(codes)]
    path = csv_file(tmp_path, *rows)
    assert chosen_mapping(path).columns["currency"] == "currency"
    read = table(path)
    found = {id_: row.transaction.currency for id_, row in rows_of(read).items()}
    assert found == {f"a{i}": c for i, c in enumerate(codes) if c not in {"", "XXY"}}
    assert (len(read), read.account.refused.total()) == (20, 10)
