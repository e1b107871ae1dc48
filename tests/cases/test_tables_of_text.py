"""No cell has a type until a mapping gives it one: tokens stay as they are written."""

from __future__ import annotations

import json
from hashlib import md5
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cases_tables import MAPPING, csv_file, good, rows_of, table
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.errors import BadArtifact
from scoring.tables.describe import describe
from scoring.tables.mapping import load_mapping

AT = "2024-03-01T10:00:00Z"
APP = assemble()


def test_a_fraction_and_a_leading_zero_late_in_a_file_are_kept(tmp_path):
    rows = [f"t{i},{AT},{20 + i % 50},EUR,{1000 + i % 700},0" for i in range(20_600)]
    path = csv_file(tmp_path, *rows, f"last,{AT},19.99,EUR,0042,1")
    last = rows_of(table(path))["last"].transaction
    assert (last.amount_minor, last.card) == (1999, "0042")


@pytest.mark.parametrize(
    "token", ["0042", "7e0", "1001.0", "+1", "TRUE", "1_000", "2024-01-05", "é", " x"]
)
def test_a_token_is_what_is_written(tmp_path, token):
    path = csv_file(tmp_path, *good(3), f"last,{AT},1.50,EUR,{token},0")
    assert rows_of(table(path, MAPPING))["last"].transaction.card == token


@pytest.mark.parametrize("token", ["nan", "NaN", "null", "None", "<NA>"])
def test_a_word_for_nothing_is_no_token_that_rows_share(tmp_path, token):
    path = csv_file(tmp_path, *good(3), f"last,{AT},1.50,EUR,{token},0")
    read = table(path, MAPPING)
    assert "last" not in rows_of(read)
    (line,) = read.account.lines()
    assert "card: reads as a missing value" in line
    assert "row 4" in line
    said = rows_of(table(path, MAPPING + f"missing: ['{token}']"))
    assert said["last"].transaction.card == ""


def test_identifiers_of_json_lines_keep_their_case_and_digits(tmp_path):
    ids = [md5(str(i).encode()).hexdigest() for i in range(5)]  # noqa: S324
    cards = [str(UUID(int=10**30 + i)).upper() for i in range(5)]
    path = tmp_path / "t.jsonl"
    path.write_text(
        "\n".join(
            f'{{"transaction_id": "{id_}", "timestamp": "{AT}", "amount": 1{i}.50, '
            f'"currency": "EUR", "card": "{card}", "device": 12345678901234567890}}'
            for i, (id_, card) in enumerate(zip(ids, cards, strict=True))
        )
    )
    rows = rows_of(table(path))
    assert {r.transaction.card for r in rows.values()} == set(cards)
    assert set(rows) == set(ids)
    assert rows[ids[2]].transaction.device == "12345678901234567890"
    assert rows[ids[2]].transaction.amount_minor == 1250


def test_whole_floats_of_parquet_are_exact_and_nan_is_nothing(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {
        "id": ["a", "b", "c"],
        "timestamp": [AT] * 3,
        "amount": pa.array([19.99, 0.1, 5.0], pa.float32()),
        "currency": ["EUR"] * 3,
        "card": [1001.0, float("nan"), 2.0**60],
        "is_fraud": [1.0, float("nan"), 0.0],
    }
    pq.write_table(pa.table(columns), path)
    read = table(path, MAPPING)
    rows = rows_of(read)
    assert rows["a"].transaction.card == "1001"
    assert rows["a"].transaction.amount_minor == 1999
    assert rows["a"].fraud is True
    assert (rows["b"].transaction.card, rows["b"].fraud) == ("", None)
    assert "c" not in rows
    assert "more digits than a float holds" in " ".join(read.account.lines())


def test_encodings_and_dialects_are_read_right_or_refused_by_name(tmp_path):
    header = "id,timestamp,amount,currency,card,merchant"
    rows = [f"r{i},2024-03-01T10:0{i}:00Z,1{i}.50,EUR,c,Café {i}" for i in range(9)]
    text = "\n".join([header, *rows]) + "\n"
    german = text.replace(".50", "#50").replace(",", ";").replace("#", ",")
    for name, content in {
        "bom.csv": text.encode("utf-8-sig"),
        "crlf.csv": text.replace("\n", "\r\n").encode(),
        "utf16.csv": text.encode("utf-16"),
        "tabs.tsv": text.replace(",", "\t").encode(),
        "semicolons.csv": german.encode(),
        "said.csv": ("sep=;\n" + german).encode(),
        "comment.csv": ("# exported 2024-03-02\n" + text).encode(),
        "UPPER.CSV": text.encode(),
        "data[1].csv": text.encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        found = rows_of(table(tmp_path / name))
        assert found["r3"].transaction.amount_minor == 1350, name
        assert found["r3"].transaction.merchant == "Café 3", name
    path = tmp_path / "latin.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadArtifact, match=r"is not UTF-8.*encoding: windows-1252"):
        table(path)


def test_a_quote_that_is_never_closed_ends_the_reading(tmp_path):
    path = csv_file(tmp_path, *good(3), f'"x,{AT},1.50,EUR,c,0', *good(3))
    with pytest.raises(BadArtifact, match="quote opened near line 5 is never closed"):
        len(table(path, MAPPING))


def test_files_of_a_pattern_are_united_by_the_names_of_their_columns(tmp_path):
    (tmp_path / "part-1.csv").write_text(f"id,timestamp,amount\na,{AT},1.50\n")
    (tmp_path / "part-2.csv").write_text(f"amount,id,timestamp\n2.50,b,{AT}\n")
    (tmp_path / "_SUCCESS").write_text("")
    for path in (tmp_path / "part-*.csv", tmp_path):
        rows = rows_of(table(path))
        assert {k: r.transaction.amount_minor for k, r in rows.items()} == {
            "a": 150,
            "b": 250,
        }


@pytest.mark.parametrize("wrap", ["lines", "array", "list"])
def test_nested_objects_of_a_payment_api_are_columns(tmp_path, wrap):
    charges = [
        {
            "id": f"ch_{i}", "amount": 4999, "currency": "usd", "customer": f"cus_{i}",
            "created": 1709287200 + i, "payment_method_details": {
                "card": {"fingerprint": f"fp{i}", "country": "US"}},
            "billing_details": {"address": {"country": "FR"}},
        }
        for i in range(5)
    ]  # fmt: skip
    path = tmp_path / "charges.json"
    path.write_text(
        {
            "lines": "\n".join(map(json.dumps, charges)),
            "array": json.dumps(charges, indent=1),
            "list": json.dumps({"object": "list", "data": charges}),
        }[wrap]
    )
    first = rows_of(table(path))["ch_0"].transaction
    assert (first.amount_minor, first.currency, first.card) == (4999, "USD", "fp0")
    assert (first.card_country, first.merchant_country) == ("US", "")
    assert first.occurred_at_ms == 1_709_287_200_000


def partitioned(folder, value, rows):
    place = folder / f"day={value}"
    place.mkdir(parents=True)
    columns = [list(column) for column in zip(*rows, strict=True)]
    names = ["id", "amount", "card"]
    pq.write_table(
        pa.table(dict(zip(names, columns, strict=True))), place / "part-0.parquet"
    )


FOLDERS = (
    "columns: {id: id, occurred_at: day, amount: amount, card: card}\n"
    "constants: {currency: EUR}"
)


@pytest.mark.parametrize("pattern", ["", "*/*.parquet", "day=*/part-*.parquet"])
def test_folders_as_hive_writes_them_are_columns(tmp_path, pattern):
    folder = tmp_path / "payments"
    partitioned(folder, "2024-01-05", [("a", "1.50", "0042"), ("b", "2.50", "c")])
    partitioned(folder, "2024-01-06%2012%3A30", [("c", "3.50", "c")])
    partitioned(folder, "__HIVE_DEFAULT_PARTITION__", [("d", "4.50", "c")])
    partitioned(folder / "_temporary", "2024-01-07", [("e", "5.50", "c")])
    (folder / "_SUCCESS").write_text("")
    read = table(folder / pattern if pattern else folder, FOLDERS)
    rows = rows_of(read)
    assert rows["a"].transaction.card == "0042"
    at = {k: r.transaction.occurred_at_ms for k, r in rows.items()}
    assert at == {"a": 1_704_412_800_000, "b": 1_704_412_800_000} | {
        "c": 1_704_544_200_000
    }
    (line,) = read.account.lines()
    assert "day: is required" in line
    assert "day=__HIVE_DEFAULT_PARTITION__/part-0.parquet row 1" in line


def test_a_folder_that_is_called_as_a_column_is_refused(tmp_path):
    partitioned(tmp_path / "card=7", "2024-01-05", [("a", "1.50", "0042")])
    with pytest.raises(BadArtifact, match="card: is a column and a folder's name"):
        table(tmp_path, FOLDERS)


def test_line_breaks_in_quotes_are_of_their_cell_and_no_token_holds_one(tmp_path):
    header = "id,timestamp,amount,currency,card,merchant,note"
    quoted = '"Bob\'s ""Best"",\n{} Shop"'
    rows = [f"r{i},{AT},1{i}.50,EUR,c,shop,{quoted.format(i)}" for i in range(9)]
    odd = f"x,{AT},19.50,EUR,c,{quoted.format('x')},n"
    read = table(csv_file(tmp_path, *rows, odd, *good(0), header=header))
    assert len(rows_of(read)) == 9
    (line,) = read.account.lines()
    assert "merchant: holds a line break" in line
    assert "row 10" in line
    only = csv_file(tmp_path, odd, odd.replace("x,", "y,", 1), header=header)
    proposal = describe(only)
    assert "merchant" not in load_mapping(proposal.text, name="m").columns
    assert any("not column 'merchant'" in remark for remark in proposal.remarks)


def test_an_encoding_can_be_said_where_no_mapping_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = csv_file(tmp_path, *good(3), f"é,{AT},1.50,EUR,Müller,0")
    path.write_bytes(path.read_text("utf-8").encode("windows-1252"))
    asked = ["replay", "payments.csv", "--describe"]
    done = CliRunner().invoke(APP, asked)
    assert isinstance(done.exception, BadArtifact)
    assert "encoding: windows-1252" in str(done.exception)
    done = CliRunner().invoke(APP, [*asked, "--encoding", "windows-1252"])
    assert done.exit_code == 0, done.output
    assert "encoding: cp1252" in done.stdout or "windows-1252" in done.stdout
    mapping = "\n".join(x for x in done.stdout.splitlines() if not x.startswith("#"))
    assert rows_of(table(path, mapping))["é"].transaction.card == "Müller"
    done = CliRunner().invoke(APP, [*asked, "--encoding", "utf-99"])
    assert "utf-99: is no encoding" in str(done.exception)
