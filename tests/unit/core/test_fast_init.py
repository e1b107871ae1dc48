"""A quicker constructor leaves a dataclass as it was."""

import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, replace

import pytest

from scoring.core.fast_init import fast_init


@fast_init
@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2
    named: dict[str, int] = field(default_factory=dict)


@fast_init
@dataclass(frozen=True, slots=True)
class Place(Point):
    name: str = ""


@pytest.mark.parametrize("made", [Point(1), Place(1, name="here")])
def test_an_object_is_of_its_class_and_frozen(made):
    assert type(made) in {Point, Place}
    with pytest.raises(FrozenInstanceError):
        made.x = 2
    with pytest.raises(FrozenInstanceError):
        del made.x
    assert made.x == 1


def test_it_compares_hashes_copies_and_replaces_as_before():
    assert Point(1) == Point(1, 2) != Place(1)
    assert Point(1).named is not Point(1).named
    assert replace(Place(1), name="there") == Place(1, name="there")
    assert pickle.loads(pickle.dumps(Place(3))) == Place(3)  # noqa: S301 our own
    assert asdict(Point(1)) == {"x": 1, "y": 2, "named": {}}


def test_what_is_missing_or_too_much_is_refused_as_before():
    for wrong in ({}, {"x": 1, "z": 2}):
        with pytest.raises(TypeError):
            Point(**wrong)
