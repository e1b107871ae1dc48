"""Every row of a table is decided, refused or skipped, and it is said which."""

from __future__ import annotations

import csv

import pytest
from cases_tables import MAPPING, csv_file, good, rows_of, table
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.errors import BadArtifact
from scoring.replay.learn import labelled_transactions_of, learned
from scoring.settings import Settings
from scoring.tables.mapping import load_mapping

ODD = {
    "x,,10.00,EUR,c1,0": "timestamp: is required",
    ",2024-03-01T11:00:00Z,10.00,EUR,c1,0": "id: is required",
    "x,2024-03-01T11:00:00Z,10.00,,c1,0": "currency: is required, an active",
    "x,2024-03-01T11:00:00Z,-10.00,EUR,c1,0": "amount_minor: must lie between",
    "x,not a time,10.00,EUR,c1,0": "timestamp: is no ISO 8601 time",
    "x,2024-03-01T11:00:00+99:99,10.00,EUR,c1,0": "timestamp: is no time",
    "x,2024-03-01T11:00:00Z,NaN,EUR,c1,0": "amount: must be a number",
    "x,2024-03-01T11:00:00Z,1e400,EUR,c1,0": "amount: is too large",
    "x,2024-03-01T11:00:00Z,10.00,EUR": "has 4 cells, the header 6",
    "x,2024-03-01T11:00:00Z,10.00,EUR,c1,0,1": "has 7 cells, the header 6",
    'x,2024-03-01T11:00:00Z,10.00,EUR,"c"1,0': "is no proper CSV",
    "x,2024-03-01T11:00:00Z,10.00,EUR,4111111111111111,0": "card: holds a card number",
    "TOTAL,,400.00,EUR,,": "timestamp: is required",
}


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_row_is_refused_with_its_place_and_the_others_are_admitted(
    tmp_path, odd
):
    read = table(csv_file(tmp_path, *good(5), odd, *good(9)[5:]), MAPPING)
    assert sorted(rows_of(read)) == [f"g{i}" for i in range(9)]
    account = read.account
    assert (account.rows, account.admitted, account.refused.total()) == (10, 9, 1)
    (line,) = account.lines()
    assert ODD[odd] in line
    assert "payments.csv row 6" in line
    assert account.write(tmp_path / "left-out.csv")
    ((what, file, row, _, reason),) = list(
        csv.reader((tmp_path / "left-out.csv").open())
    )[1:]
    assert (what, file, row) == ("refused", "payments.csv", "6")
    assert reason in ODD[odd] or ODD[odd].partition(": ")[2] in reason
    with pytest.raises(BadArtifact, match=r"row 6: .*--strict"):
        len(table(csv_file(tmp_path, *good(5), odd), MAPPING, strict=True))


def test_no_account_repeats_what_a_cell_holds(tmp_path):
    rows = [
        f"{i},x{number},y,z,{number},w"
        for i, number in enumerate(["4111111111111111"] * 3)
    ]
    read = table(csv_file(tmp_path, *rows), MAPPING)
    read.account.write(tmp_path / "left-out.csv")
    told = " ".join(read.account.lines()) + (tmp_path / "left-out.csv").read_text()
    assert "4111" not in told


def test_the_same_payment_again_is_skipped_and_another_one_refused(tmp_path):
    rows = good(50)
    late = "g0,2024-03-03T10:00:00Z,10.50,EUR,c0,0"
    read = table(csv_file(tmp_path, *rows, rows[0], rows[30], late), MAPPING)
    assert len(rows_of(read)) == len(read) == 50
    account = read.account
    assert account.rows == 53
    assert account.skipped == {"is the same payment again": 2}
    assert account.refused == {"id: is taken by another payment": 1}
    assert rows_of(read)["g0"].transaction.occurred_at_ms < 1_709_300_000_000


@pytest.mark.parametrize(
    ("label", "fraud"),
    [("1", True), ("true", True), ("Yes", True), ("fraud", True), ("0", False),
     ("No", False), ("legit", False), ("1.0", True), ("", None), ("-1", None),
     ("2", None), ("0.4", None), ("NaN", None), ("unknown", None)],
)  # fmt: skip
def test_a_label_that_is_no_known_word_is_no_label(tmp_path, label, fraud):
    path = csv_file(tmp_path, *good(3), f"x,2024-03-01T11:00:00Z,1.50,EUR,c,{label}")
    read = table(path, MAPPING)
    assert rows_of(read)["x"].fraud is fraud
    unlabelled = read.account.lacking.get("no label", {})
    assert sum(unlabelled.values()) == (fraud is None)
    assert not read.account.refused


def test_a_mapping_says_what_the_values_of_a_label_mean(tmp_path):
    rows = [f"x{i},2024-03-01T11:00:00Z,1.50,EUR,c,{i}" for i in range(4)]
    path = csv_file(tmp_path, *rows)
    read = table(path, MAPPING + 'labels: {fraud: ["1"], legitimate: ["2"]}')
    said = {id_: row.fraud for id_, row in rows_of(read).items()}
    assert said == {"x0": None, "x1": True, "x2": False, "x3": None}


def test_a_label_known_before_its_payment_is_no_label(tmp_path):
    header = "id,at,amount,card,fraud,known"
    rows = [
        "a,2024-03-01T11:00:00Z,1.50,c,1,2024-03-01T10:00:00Z",
        "b,2024-03-01T11:00:00Z,1.50,c,1,2024-03-01T11:00:00Z",
        "c,2024-03-01T11:00:00Z,1.50,c,1,some day",
    ]
    mapping = (
        "columns: {id: id, occurred_at: at, amount: amount, card: card, fraud: fraud, "
        "known_at: known}\nconstants: {currency: EUR}"
    )
    read = table(csv_file(tmp_path, *rows, header=header), mapping)
    assert {k: r.fraud for k, r in rows_of(read).items()} == {
        "a": None,
        "b": True,
        "c": None,
    }
    assert read.account.lacking["no label"].total() == 2


def test_nothing_is_learned_from_what_the_doors_refuse(tmp_path, capsys):
    rows = [f"x{i},2024-03-01T10:00:00Z,1.50,EUR,4111111111111111,1" for i in range(9)]
    refunds = [f"r{i},2024-03-01T10:00:00Z,-1.50,EUR,c,0" for i in range(9)]
    path = csv_file(tmp_path, *rows, *refunds)
    mapping = load_mapping(MAPPING, name="m.yaml")
    settings = Settings(state_dir=tmp_path / "state")
    with pytest.raises(BadArtifact, match="18 rows = 0 admitted") as nothing:
        learned(path, mapping, settings, label_delay_ms=0)
    said = f"{capsys.readouterr().err}{nothing.value}"
    for why in ("refused 9: card: ", "refused 9: amount_minor: "):
        assert said.count(why) == 1
    path = csv_file(tmp_path, *rows, *refunds, *good(3), "u,2024-03-01,1.50,EUR,c,-1")
    rows = labelled_transactions_of(table(path, MAPPING), label_delay_ms=0)
    assert rows["id"].to_pylist() == ["u", "g0", "g1", "g2"]
    assert rows["fraud"].to_pylist() == [None, False, False, False]
    assert "tenant" in rows.column_names


def test_times_of_a_wrong_unit_are_one_cause(tmp_path):
    rows = [f"x{i},{1_700_000_000 + i * 86_400},1.50,EUR,c,1" for i in range(9)]
    read = table(csv_file(tmp_path, *rows), MAPPING)
    (line,) = read.account.lines()
    assert line.startswith("refused 9: occurred_at: is not between 2000 and 2100")
    assert "seconds read as milliseconds" in line


@pytest.mark.parametrize("options", [[], ["--through", "grpc"]])
def test_a_table_of_which_no_row_is_admitted_ends_with_1_and_starts_nothing(
    tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    csv_file(tmp_path, *(f"x{i},2024-03-01T10:00:00Z,-1.50,EUR,c,1" for i in range(9)))
    done = CliRunner().invoke(assemble(), ["replay", "payments.csv", *options])
    assert done.exit_code == 1, done.output
    assert "refused 9: amount_minor" in done.stderr
    (listed,) = (tmp_path / ".scoring/replay").glob("*.left-out.csv")
    assert len(listed.read_text().splitlines()) == 10
    strict = CliRunner().invoke(assemble(), ["replay", "payments.csv", "--strict"])
    assert isinstance(strict.exception, BadArtifact)  # which `main` ends with 2


@pytest.mark.parametrize("field", ["channel", "latitude", "attempt"])
def test_a_constant_that_cannot_be_read_is_a_mistake_of_the_mapping(tmp_path, field):
    mapping = MAPPING + f"constants: {{{field}: somewhere}}"
    with pytest.raises(BadArtifact, match=rf"constants\.{field}: "):
        len(table(csv_file(tmp_path, *good(3)), mapping))
