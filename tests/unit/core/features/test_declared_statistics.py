"""A statistic is declared once, and every engine has its part: none is forgotten.

Nothing here names a statistic: the tests iterate the declarations.
"""

import inspect
import re
from pathlib import Path

import pytest

from scoring.core.features.bounds import BY_UNIT
from scoring.core.features.catalogue import default_catalogue, handbook_catalogue
from scoring.core.features.derivation import FORMULAS
from scoring.core.features.reference import READERS
from scoring.core.features.slot import Column, Kind, Op
from scoring.core.features.statistic import STATISTICS, Wanted
from scoring.stores.redis import script_compiler
from scoring.stores.redis.formats import COLUMNS
from scoring.training.offline.folds import FOLDS
from scoring.training.offline.sql import WINDOWS, column_sql

PARITY = Path(__file__).parents[3] / "parity"
LUA = Path(script_compiler.__file__).parent / "lua" / "windows.lua"
WANTED = Wanted(entity="card", window_ms=3_600_000, of="merchant", trim=2.6)
# What a formula may ask for beside its slots; row.py and vector.py give it.
GIVEN = {
    "amount", "at_ms", "count_prior", "default", "fraud_prior", "horizon_ms",
    "latitude", "longitude", "own", "window_ms",
}  # fmt: skip
# Units of which nothing is known: any number may be.
BOUNDLESS = {"", "standard deviations"}

each_op = pytest.mark.parametrize("op", Op, ids=lambda op: op.value)
each_kind = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.value)
each_statistic = pytest.mark.parametrize("name", STATISTICS)


@each_op
def test_the_reference_has_its_part_for_a_reading(op):
    assert op in READERS, f"add {op.name} to READERS of reference.py"


@each_op
def test_the_offline_engine_has_its_part_for_a_reading(op):
    has = (op in WINDOWS) + (op in FOLDS)
    assert has == 1, f"add {op.name} to WINDOWS of offline/sql.py or FOLDS of folds.py"


@each_op
def test_the_store_has_its_part_for_a_reading(op):
    parts = script_compiler.PARTS
    assert op in parts, f"add {op.name} to PARTS of script_compiler.py"
    if parts[op] == "others":
        named = set(re.findall(r"\bop == OP_(\w+)", LUA.read_text()))
        assert op.name in named, f"windows.lua does not read OP_{op.name}"


@each_kind
def test_the_store_has_a_place_for_a_column(kind):
    assert kind in COLUMNS, f"add {kind.name} to COLUMNS of stores/redis/formats.py"


@each_kind
def test_the_offline_engine_has_the_sql_of_a_column(kind):
    text = kind in {Kind.COUNTERPART, Kind.LAST}
    assert column_sql(Column(kind, "merchant" if text else "amount"))


@each_statistic
def test_a_statistic_has_its_formula(name):
    statistic = STATISTICS[name]
    if name == "value":  # an expression of the definition's own
        return
    assert statistic.derive in FORMULAS, f"add {statistic.derive!r} to FORMULAS"
    formula = inspect.signature(FORMULAS[statistic.derive]).parameters.values()
    slots = [p.name for p in formula if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(slots) == len(statistic.slots(WANTED))
    assert {p.name for p in formula if p.kind is p.KEYWORD_ONLY} <= GIVEN


@each_statistic
def test_a_statistic_has_a_unit_whose_bounds_are_known(name):
    assert STATISTICS[name].unit in BY_UNIT.keys() | BOUNDLESS


@each_statistic
def test_what_falls_as_time_passes_is_read_from_a_window(name):
    assert STATISTICS[name].windowed or not STATISTICS[name].falls


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_some_statistics(formula):
    assert formula in {statistic.derive for statistic in STATISTICS.values()}


def test_the_engines_are_compared_over_every_statistic():
    """By tests/parity/test_engines.py, over the shipped catalogues and its own."""
    own = (PARITY / "others.yaml").read_text()
    compared = set(re.findall(r"statistic: (\w+)", own))
    for catalogue in (default_catalogue(), handbook_catalogue()):
        compared |= {feature.statistic for feature in catalogue.features.values()}
    lacking = sorted(STATISTICS.keys() - compared)
    assert not lacking, f"compared by no parity test: {lacking}"
