"""Any table of text is accounted for, row by row, and no token is altered."""

from __future__ import annotations

import pytest
from any_table import MAPPING, TABLES, written
from hypothesis import given, settings

from scoring.core.transaction.transaction import TOKEN_FIELDS, validate
from scoring.errors import BadArtifact
from scoring.tables.describe import describe
from scoring.tables.mapping import TableMapping, load_mapping
from scoring.tables.table import Table


def expected(mapping, row):
    """Each token as its cells have it."""
    return {
        field: "-".join(row[c] for c in mapping.columns_of(field))
        for field in TOKEN_FIELDS
        if field in mapping.columns
    }


def check(path, mapping: TableMapping, names, rows) -> None:
    table = Table(path, mapping)
    found = [row for batch in table.batches() for row in batch]
    account = table.account
    assert account.rows == len(rows)
    left_out = account.refused.total() + account.skipped.total()
    assert len(found) + left_out == len(rows)
    for row in found:
        validate(row.transaction)
        cells = dict(zip(names, rows[row.place.number - 1], strict=True))
        for field, token in expected(mapping, cells).items():
            said = getattr(row.transaction, field)
            assert said == token or (not said and not token.strip()), field


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=settings.default.max_examples // 2)
@given(table=TABLES)
def test_every_row_is_accounted_for_and_no_token_is_altered(
    tmp_path_factory, kind, table
):
    names, rows = table
    path = tmp_path_factory.mktemp("t") / f"t.{kind}"
    written(path, names, rows, kind)
    said = {field: c for field, c in MAPPING.items() if c in names}
    whole = {"row_numbers_as_ids": "id" not in said, "columns": said}
    told = {f: "1" for f in ("amount",) if f not in said}
    told |= {"occurred_at": "2024-03-01"} if "occurred_at" not in said else {}
    told |= {"currency": "EUR"} if "currency" not in said else {}
    try:
        check(path, TableMapping(**whole, constants=told), names, rows)
    except BadArtifact:
        if rows:  # JSON lines without a line have no columns
            raise


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=settings.default.max_examples // 2)
@given(table=TABLES)
def test_what_is_proposed_reads_the_table_or_a_question_is_asked(
    tmp_path_factory, kind, table
):
    names, rows = table
    path = tmp_path_factory.mktemp("t") / f"t.{kind}"
    written(path, names, rows, kind)
    try:
        proposal = describe(path)
    except BadArtifact:
        if rows:
            raise
        return
    if proposal.complete:
        check(path, load_mapping(proposal.text, name="proposal"), names, rows)
    else:
        assert proposal.asked
