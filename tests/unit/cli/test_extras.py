"""What each extra of the package brings, and who may import it."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

from scoring.__main__ import assemble, commands, overview
from scoring.cli.calls import SUMMARIES
from scoring.cli.calls.commands import COMMANDS as CALLS
from scoring.extras import COMMANDS, MODULES, SERVE, of_command

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]


def named(requirement):
    """The distribution that a requirement names, as packages_distributions does."""
    return re.split(r"[\[><=~; ]", requirement)[0].lower().replace("_", "-")


def brought(requirements):
    """The distributions of requirements, and those that these bring themselves."""
    found = {named(one) for one in requirements} - {"fraud-scoring"}
    for name in list(found):
        if name != "xgboost":  # the tests have xgboost-cpu in its place
            found |= {named(one) for one in requires(name) or ()}
    return found


def imported():
    """Every module of another package that ours import, by its first name."""
    return {
        name.partition(".")[0]
        for path in (ROOT / "scoring").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_of(node)
    } - {"scoring", *sys.stdlib_module_names}


def names_of(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


def test_whatever_is_imported_comes_with_the_package_or_with_the_extra_it_is_said_to():
    distributions = packages_distributions()
    base = brought(PROJECT["project"]["dependencies"])
    for module in imported():
        sources = {name.lower().replace("_", "-") for name in distributions[module]}
        extras = [extra for extra, modules in MODULES.items() if module in modules]
        if extras:
            for extra in extras:
                assert sources & brought(EXTRAS[extra]), f"{module}: not in {extra}"
            assert not sources & base, f"{module} comes with the package alone"
        else:
            assert sources & base, f"{module}: name its extra in scoring/extras.py"


def test_nothing_is_said_to_come_with_an_extra_that_is_never_imported():
    assert frozenset().union(*MODULES.values()) <= imported()


def test_every_extra_is_enough_by_itself():
    for extra, listed in EXTRAS.items():
        assert extra == SERVE or "fraud-scoring[serve]" in listed, extra


def test_both_trainings_bring_the_same_but_for_the_size_of_xgboost():
    plain = {named(one).removesuffix("-cpu") for one in EXTRAS["train"]}
    assert plain == {named(one) for one in EXTRAS["train-gpu"]}


def test_the_contract_of_the_client_names_all_that_an_extra_brings():
    (contract,) = [
        one
        for one in PROJECT["tool"]["importlinter"]["contracts"]
        if one["name"] == "The client is light"
    ]
    every = frozenset().union(*MODULES.values())
    assert every <= set(contract["forbidden_modules"])


def test_every_command_that_is_told_its_extras_exists():
    listed = {*commands(), *SUMMARIES}
    for words in COMMANDS:
        first, _, second = words.partition(" ")
        assert first in listed
        if second:
            (group,) = [g for g in assemble().registered_groups if g.name == first]
            assert second in {
                c.callback.__name__ for c in group.typer_instance.registered_commands
            }


def test_what_calls_a_service_needs_no_extra_and_has_its_options():
    assert set(SUMMARIES) == set(CALLS)
    assert not [name for name in SUMMARIES if of_command([name])]


@pytest.mark.parametrize("command", [*SUMMARIES, *commands()])
def test_the_overview_has_every_command_under_its_extra_with_what_it_does(command):
    part = next(part for part in overview().split("\n\n") if f"\n  {command} " in part)
    assert all(extra in part.splitlines()[0] for extra in of_command([command]))
    (line,) = [line for line in part.splitlines() if line.startswith(f"  {command} ")]
    assert len(line.split()) > 3
