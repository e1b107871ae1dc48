"""Any table, read by every command that reads tables, through its own command line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import copy

import pyarrow.parquet as pq
import pytest
from any_table import MAPPING, TABLES, written
from hypothesis import given, settings
from hypothesis import strategies as st
from served import serving

from scoring.__main__ import assemble, ended
from scoring.core.transaction.transaction import TOKEN_FIELDS

# A table takes half a second through all commands: few, but where time is given.
_FEW, _MANY = 4, 2_000
EXAMPLES = _FEW if settings.default.max_examples < 1_000 else _MANY
HANDBOOK = {
    "id": "TRANSACTION_ID", "timestamp": "TX_DATETIME", "amount": "TX_AMOUNT",
    "customer": "CUSTOMER_ID", "device": "TERMINAL_ID", "is_fraud": "TX_FRAUD",
}  # fmt: skip
APP = assemble()
TENANTS = count()  # whose ids nobody has used yet


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    def count(self, word: str) -> int:
        """The last number before a word of the account."""
        return int(re.findall(rf"([\d,]+) {word}", self.err)[-1].replace(",", ""))


def run(*words: str) -> Ended:
    """One command through the argument parser: whatever is raised else fails."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            ended(lambda: APP(list(words)))
            status = 0
        except SystemExit as end:
            status = end.code or 0
    assert status in {0, 1, 2}, (words, status)
    assert "Traceback" not in err.getvalue()
    return Ended(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def door(model_dir: Path, store_url: str) -> Iterator[str]:
    """The address of a server that decides what a replay sends."""
    budgets = dict.fromkeys(("budget_ms", "batch_budget_ms", "store_budget_ms"), 60_000)
    with serving(model_dir=model_dir, redis_url=store_url, **budgets) as served:
        yield served.address


@pytest.fixture(scope="module")
def place(tmp_path_factory, door):
    """A directory of its own, where commands find the server."""
    directory = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCORING_GRPC_ADDRESS", door)
        patch.chdir(directory)
        yield directory


def is_accounted_for(done: Ended, rows: int) -> None:
    """Every row is admitted, refused or skipped, where the table was read at all."""
    if done.status == 2 and " rows = " not in done.err:
        assert done.err.count("scoring: ") == 1
        return
    parts = [done.count(word) for word in ("admitted", "refused", "skipped")]
    assert done.count("rows =") == rows == sum(parts)
    if done.status < 2:
        assert done.status == bool(parts[1])


def no_token_is_altered(decisions: Path, names: list[str], rows: list) -> None:
    if not decisions.exists():
        return
    known = {cell for row in rows for cell in row} | {""}
    for column in set(TOKEN_FIELDS) & set(pq.read_schema(decisions).names):
        for text in pq.read_table(decisions, columns=[column])[column].to_pylist():
            assert text in known or (column == "id" and "id" not in names), column


def mapping_of(names: list[str], tenant: str) -> str:
    said = {field: column for field, column in MAPPING.items() if column in names}
    if "is_fraud" in names:
        said["fraud"] = "is_fraud"
    told = {"tenant": tenant, "amount": "1", "occurred_at": "2024-03-01"}
    told["currency"] = "EUR"
    told = {field: text for field, text in told.items() if field not in said}
    numbers = "id" not in said
    return f"columns: {said}\nconstants: {told}\nrow_numbers_as_ids: {numbers}\n"


@pytest.mark.timeout(300 if EXAMPLES == _FEW else 7_200)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=EXAMPLES)
@given(table=TABLES, guessed=st.booleans())
def test_all_commands_account_for_every_row_of_any_table(place, kind, table, guessed):
    names, rows = table
    for old in place.glob("d.*"):
        old.unlink()
    path = place / f"t.{kind}"
    written(path, names, rows, kind)
    (place / "m.yaml").write_text(mapping_of(names, f"{kind}-{next(TENANTS)}"))
    mapping = () if guessed else ("--mapping", "m.yaml")
    live = ("--through", "grpc", "--into-live", "--out", "d.parquet")
    is_accounted_for(run("replay", path.name, *mapping, *live), len(rows))
    no_token_is_altered(place / "d.parquet", names, rows)
    small = ("--rounds", "2", "--depth", "2", "--out", "models")
    is_accounted_for(run("train", path.name, *mapping, *small), len(rows))
    book = place / f"book.{kind}"
    written(book, [HANDBOOK.get(name, name) for name in names], rows, kind)
    is_accounted_for(run("evaluate", "handbook", "--data", book.name), len(rows))
    if kind == "parquet":
        for topic in ("decisions", "labels"):
            day = place / "archive" / topic / "day=2024-03-01"
            day.mkdir(parents=True, exist_ok=True)
            copy(path, day / "p0-0-200.parquet")
        assert run("train", "archive", "--out", "models").status == 2
