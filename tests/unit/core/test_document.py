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
        ("name: true\n", 1, "put it in quotes"),
        ("name: a\nname: b\n", 2, "name: is written twice, in line 1 too"),
        (
            "name: a\ntable:\n  x: {}\n  x: {}\n",
            4,
            "x: is written twice, in line 3 too",
        ),
        ("name: a\nparts:\n  - until: 2026-13-01\n", 3, "month value is outside"),
        ("name: a\nparts:\n  - until: 20261201\n", 3, "valid datetime"),
        ("name: a\nparts:\n  - number: true\n", 3, "must be a whole number"),
        ("name: a\nparts:\n  - number: '8'\n", 3, "not in quotes"),
        ("name: a\nparts:\n  - number: off\n", 3, "must be a whole number"),
        ("name: a\nparts:\n  - number: 1:30\n", 3, "must be a whole number"),
        ("name: a\nparts:\n  - number: 1_000\n", 3, "must be a whole number"),
        ("name: a\nparts:\n  - until: 2026-12-01T00:00:00\n", 3, "time zone"),
        ("name: a\nparts: [\n", 3, "not YAML"),
        ("- a\n", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
        ("name: " + "[" * 100_000, 1, "nested deeper"),
        ("name: &a [*a]\n", 1, "not YAML"),
        ("name: !!python/object:os.system {}\n", 1, "not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(text, line, said):
    with pytest.raises(BadArtifact) as refused:
        load(text, Outer, name="file.yaml")
    assert str(refused.value).startswith(f"file.yaml:{line}: ")
    assert said in str(refused.value)


class Anything(BaseModel):
    value: str | int | float | bool | None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("010", 10), ("0742", 742), ("0o17", 15), ("0x1F", 31), ("+5", 5), ("-3", -3),
        ("12e3", 12_000.0), (".5", 0.5), ("1.", 1.0), ("-1.5e-3", -0.0015),
        ("NO", "NO"), ("off", "off"), ("yes", "yes"), ("y", "y"), ("1:30", "1:30"),
        ("1_000", "1_000"), ("0b11", "0b11"), ("2024-01-05", "2024-01-05"),
        ("2024-01-05 10:00", "2024-01-05 10:00"), ("true", True), ("False", False),
        ("~", None), ("", None), ("null", None), ("'8'", "8"), ("=", "="),
    ],
)  # fmt: skip
def test_a_plain_word_is_what_the_core_schema_of_yaml_1_2_says(written, value):
    read = load(f"value: {written}\n", Anything, name="f").value
    assert (read, type(read)) == (value, type(value))


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


@pytest.mark.parametrize(
    "written",
    ["1" * 5_000, '!!int "0o9"', "!!float x", "!!timestamp x", "a\0b", "!!int"],
)
def test_what_yaml_cannot_read_is_told_with_its_line(written):
    with pytest.raises(BadArtifact, match=r"^policy\.yaml:2: not YAML: ") as told:
        load(f"parts: []\nname: {written}\n", Outer, name="policy.yaml")
    assert "NoneType" not in str(told.value)
    assert "sys." not in str(told.value)
