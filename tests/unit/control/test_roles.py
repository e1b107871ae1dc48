"""What each role may do, as the page says it."""

import re
from pathlib import Path

import pytest

from scoring.control.domain.people import ROLES_OF, Person, PersonRole, Right
from scoring.errors import Denied, Unauthenticated

PAGE = Path(__file__).resolve().parents[3] / "docs" / "control-plane.md"


def test_the_page_says_of_every_right_which_roles_have_it():
    (head,) = re.findall(r"^\| may \|(.+)\|$", PAGE.read_text(), re.MULTILINE)
    roles = [PersonRole(name.strip()) for name in head.split("|")]
    written = {}
    for right in Right:
        (row,) = re.findall(rf"^\| {right} \|(.+)\|$", PAGE.read_text(), re.MULTILINE)
        marks = [mark.strip() == "x" for mark in row.split("|")]
        written[right] = {r for r, mark in zip(roles, marks, strict=True) if mark}
    assert written == {right: set(roles) for right, roles in ROLES_OF.items()}


@pytest.mark.parametrize("right", Right)
@pytest.mark.parametrize("role", PersonRole)
def test_a_role_alone_allows_what_the_table_says_and_nothing_else(role, right):
    who = Person("ann", frozenset({role}))
    if role in ROLES_OF[right]:
        who.needs(right)
    else:
        with pytest.raises(Denied, match=r"ann \(\w+\) may not"):
            who.needs(right)


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a\nb", "a\x00", "x" * 201])
def test_a_name_that_could_be_taken_for_anothers_is_nobodys(name):
    with pytest.raises(Unauthenticated):
        Person(name, frozenset())
