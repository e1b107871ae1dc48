"""docs/mapping-iso.md has a row for each field and for each member converted to."""

import re
from pathlib import Path

import pytest

from scoring.core.transaction.payment_terms import (
    AvsResult,
    CvvResult,
    Rail,
    Sequence,
    ThreeDsStatus,
)
from scoring.core.transaction.transaction import FIELDS, EntryMode

PAGE = (Path(__file__).parents[4] / "docs" / "mapping-iso.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables under a heading, without their heads."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found: list[list[str]] = []
    for table in re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE):
        lines = table.splitlines()[2:]
        found += [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return found


def test_every_field_has_its_row_in_the_order_of_the_contract():
    """When this fails: add the field's row to docs/mapping-iso.md."""
    assert [row[0] for row in rows("Fields")] == [f"`{f.path}`" for f in FIELDS]


def test_no_row_leaves_a_cell_empty():
    for row in rows("Fields"):
        assert len(row) == 4
        assert all(row), row


@pytest.mark.parametrize(
    ("heading", "members"),
    [
        ("Entry modes", EntryMode), ("Rails and sequences", Rail),
        ("Rails and sequences", Sequence), ("AVS", AvsResult), ("CVV", CvvResult),
        ("3-D Secure", ThreeDsStatus),
    ],
)  # fmt: skip
def test_every_member_is_converted_to(heading, members):
    named = set(re.findall(r"`([A-Z_]+)`", "".join(map("".join, rows(heading)))))
    assert {member.name for member in members if member} <= named


@pytest.mark.parametrize("heading", ["AVS", "CVV"])
def test_a_networks_letter_means_one_result(heading):
    for column in zip(*(row[1:] for row in rows(heading)), strict=True):
        letters = [letter for cell in column for letter in re.findall("[A-Z]", cell)]
        assert len(letters) == len(set(letters))


def test_the_links_of_the_page_lead_to_its_headings():
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\(#([^)]+)\)", PAGE)) <= anchors
