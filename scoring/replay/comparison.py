"""Two runs, or two policies over one run, compared and said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from scoring.core.policy.dated_lists import DatedLists
from scoring.core.policy.policy import Policy
from scoring.errors import BadArtifact
from scoring.replay.flips import flip_sheets, flips, redecide
from scoring.replay.report import compare, features_that_differ
from scoring.replay.sheet import show
from scoring.settings import Settings
from scoring.wiring.definitions import catalogue_from, policy_from

Told = Callable[[str], object]
ListsOf = Callable[[Policy], DatedLists]
_POLICIES = (".yaml", ".yml")


def compared(
    first: Path,
    second: Path,
    decisions: Path | None,
    *,
    told: Told,
    lists_of: ListsOf,
) -> bool:
    """Print what flipped; returns whether two runs have equal decision cores.

    A side that is a policy (.yaml) decides again what is in `decisions`, or in
    the other side, by the managed lists that `lists_of` gives; then the answer is
    True. Raises `BadArtifact`.
    """
    policies = [path.suffix.lower() in _POLICIES for path in (first, second)]
    if all(policies) and decisions is None:
        raise BadArtifact("two policies need a run to decide on: --decisions RUN")
    if decisions is None:
        decisions = second if policies[0] else first
    with TemporaryDirectory(prefix="scoring-compare-") as scratch:
        sides = [first, second]
        for i in (i for i in range(2) if policies[i]):
            again = Path(scratch) / f"{i}.parquet"
            for line in _redecide(sides[i], decisions, again, lists_of):
                told(line)
            sides[i] = again
        found = flips(*sides)
    show(flip_sheets(found))
    told(f"{found.count:,} of {found.both:,} outcomes flipped")
    return any(policies) or _proved(first, second, told)


def _redecide(
    policy_file: Path, decisions: Path, out: Path, lists_of: ListsOf
) -> Iterator[str]:
    """Decide again; gives what a reader must know."""
    settings = Settings().model_copy(update={"policy_file": policy_file})
    catalogue = catalogue_from(settings)
    policy = policy_from(settings, catalogue)
    redecide(decisions, policy, out, lists_of(policy))
    if any(plan.by_outcome for plan in catalogue.plans):
        yield (
            f"{policy_file}: the definitions count outcomes, so that this policy would "
            "have changed later vectors, taken here as they were; to be exact, replay "
            "with it"
        )


def _proved(first: Path, second: Path, told: Told) -> bool:
    found = compare(first, second)
    told(
        f"{found.both:,} transactions in both, {found.missing:,} in one only; "
        f"{found.differing:,} cores differ; largest score difference "
        f"{found.score_difference_max:.3g}"
    )
    if found.equal:
        told("equal decision cores for every transaction")
        return True
    told(f"such as {', '.join(found.examples)}")
    names = catalogue_from(Settings()).names
    for name, count in features_that_differ(first, second, names).items():
        told(f"  {name}: {count:,} values differ")
    return False
