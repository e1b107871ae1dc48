"""Files that people edit: what is refused, where, and in which words."""

from __future__ import annotations

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict

from scoring.core.document import line_of, load
from scoring.errors import BadArtifact


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = 0
    until: AwareDatetime | None = None


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    parts: tuple[Inner, ...] = ()
    table: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("parts: []\n", 1, "name: is required"),
        ("name: a\nnumber: 3\n", 2, "belongs elsewhere"),
        ("name: a\nparst: []\n", 2, "did you mean 'parts'"),
        ("name: a\nparts: 3\n", 2, "must be a list"),
        ("name: a\nparts:\n  - 3\n", 3, "must be a mapping"),
        ("name: 7995\n", 1, "put it in quotes"),
        ("name: NO\n", 1, "put it in quotes"),
        ("name: a\nname: b\n", 1, "name: is written twice"),
        ("name: a\ntable:\n  x: {}\n  x: {}\n", 3, "x: is written twice"),
        ("name: a\nparts:\n  - until: 2026-13-01\n", 3, "is no date"),
        ("name: a\nparts:\n  - until: 2026-12-01T00:00:00\n", 3, "time zone"),
        ("name: a\nparts: [\n", 3, "not YAML"),
        ("- a\n", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
        ("name: " + "[" * 100_000, 1, "nested deeper"),
        ("name: &a [*a]\n", 1, "must be a text"),
        ("name: !!python/object:os.system {}\n", 1, "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(text, line, said):
    with pytest.raises(BadArtifact) as refused:
        load(text, Outer, name="file.yaml")
    assert str(refused.value).startswith(f"file.yaml:{line}: ")
    assert said in str(refused.value)


def test_every_mistake_of_a_file_is_told_at_once():
    with pytest.raises(BadArtifact) as refused:
        load("parts: 3\ntable: 4\n", Outer, name="f")
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("tag", ["int", "float", "timestamp", "bool", "null", "map"])
def test_a_tag_before_what_it_is_not_is_refused(tag):
    with pytest.raises(BadArtifact):
        load(f"name: !!{tag} entries\n", Outer, name="f")


def test_a_file_that_is_a_list_in_disguise_is_refused_unread():
    with pytest.raises(BadArtifact, match="larger than"):
        load("#" * 4_000_001, Outer, name="f")


def test_the_line_of_a_field_that_is_missing_is_its_nearest_ancestor_s():
    assert line_of("a:\n  - b: 1\n", ("a", 0, "c")) == 2
    assert line_of("", ("a",)) == 1
