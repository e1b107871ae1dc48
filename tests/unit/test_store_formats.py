"""The store's bytes and words stand in one table, which every side is held to."""

import re
import subprocess
import sys
from inspect import Parameter, signature
from pathlib import Path

import pytest
from lua_lint import program, warnings
from toolbox import luacheck, required

from scoring.core.features import catalogue_page
from scoring.core.features.catalogue import default_catalogue, handbook_catalogue
from scoring.core.features.slot import Op
from scoring.stores.redis import calls, formats, lua_source
from scoring.stores.redis.script_compiler import Program, Terms

PAGE = Path(__file__).resolve().parents[2] / "docs" / "store-records.md"
FUNCTION = re.compile(r"^function calls\.(\w+)\(([^)]*)\)", re.MULTILINE)
COMMENT = re.compile(r"--.*")
WORDS = {
    f"{stem}_{word.name}"
    for stem, words in formats.WORDS.items()
    if words is not Op  # totals and the like are read by tables of their own
    for word in words
} - {"KIND_ALL", "KIND_NORMAL"}  # carried as none of the kinds
PARTS = {name: lua_source.part(name) for name in lua_source.PARTS}


def test_every_part_is_assembled():
    folder = Path(lua_source.__file__).with_name("lua")
    assert {path.stem for path in folder.iterdir()} == set(lua_source.PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_keeps_to_one_screen_and_its_lines_to_100(name):
    lines = PARTS[name].splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines)) <= 100


def test_the_parts_name_every_word_of_the_table():
    used = set(re.findall(r"[A-Z][A-Z_]+", COMMENT.sub("", "".join(PARTS.values()))))
    assert not WORDS - used
    assert not {name for name in vars(formats) if name.startswith("ERROR_")} - used


def test_a_call_has_the_same_parameters_in_lua_and_in_python():
    found = {
        name: tuple(given.replace(",", " ").split())
        for text in PARTS.values()
        for name, given in FUNCTION.findall(text)
    }
    assert found == {name: s.parameters for name, s in calls.SHAPES.items()}


@pytest.mark.parametrize("name", calls.SHAPES)
def test_a_call_is_sent_in_the_order_of_its_parameters(name):
    call, shape = getattr(calls, name), calls.SHAPES[name]
    more = [
        p.name
        for p in signature(call).parameters.values()
        if p.kind is Parameter.KEYWORD_ONLY and p.name not in shape.arguments
    ]
    own = ["more-keys"] if shape.more else []
    told = {argument: argument for argument in shape.arguments}
    sent = call(*shape.keys, *own, **told, **{key: [key] for key in more})
    assert [sent[0], list(sent[1]), list(sent[2])] == [
        name,
        [*shape.keys, *own],
        [*shape.arguments, *more],
    ]


def test_luacheck_has_nothing_to_say_of_the_program():
    required(luacheck)
    assert not warnings(program())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("MODE_LATE", "MODE_TOO_LATE"), ("until_(it.e", "untl_(it.e")],
)
def test_luacheck_finds_a_name_that_stands_nowhere_in_its_part(
    right, wrong, monkeypatch
):
    required(luacheck)
    (part,) = [name for name, text in PARTS.items() if right in COMMENT.sub("", text)][
        :1
    ]
    planted = PARTS | {part: PARTS[part].replace(right, wrong)}
    monkeypatch.setattr(lua_source, "part", planted.__getitem__)
    said = warnings(program())
    assert said
    assert all(line.startswith(f"lua/{part}.lua:") for line in said)


def test_the_page_of_the_store_is_what_the_table_says():
    script = PAGE.with_name("store_records.py")
    printed = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True
    )
    assert PAGE.read_text() == printed.stdout, "run `make docs`"


@pytest.mark.parametrize("catalogue", [default_catalogue(), handbook_catalogue()])
def test_the_page_of_the_features_counts_the_bytes_of_these_records(catalogue):
    page = catalogue_page.as_markdown(catalogue)
    for entity in Program(catalogue, Terms(0, 0)).entities:
        size = entity.record.table()["size"]
        assert f"| {entity.plan.name} | {size} |" in page


def test_what_an_earlier_release_stored_keeps_its_place():
    assert {
        name: (record.format, [record.at(field.name) for field in record.fields])
        for name, record in vars(formats).items()
        if isinstance(record, formats.RecordFormat) and name != "TOLD"
    } == {
        "ORDER": (">I6I4I4", [1, 7, 11]),
        "EVENT": (">I6I4I4I4", [1, 7, 11, 15]),
        "PART": (">I2I6", [1, 3]),
        "SIGHTING": (">I6I6", [1, 7]),
        "LABELS_HEAD": (">I6", [1]),
        "LABEL_REST": (">I4I6I2", [1, 5, 11]),
        "LABEL_BODY": (">I6I4I4I4I6I2", [1, 7, 11, 15, 19, 25]),
        "DIGEST": (">c4", [1]),
        "LABEL": (">I6I4I4I4I6I2c4", [1, 7, 11, 15, 19, 25, 27]),
        "VERDICT": (">I4I1", [1, 5]),
        "NOTE": (">c8c1", [1, 9, 10]),
        "CLAIM": (">c1c32", [1, 2, 34]),
    }
    assert formats.CLAIM_KINDS == "OCDP1234"
    assert formats.DECIDED_KINDS == "DP1234"
