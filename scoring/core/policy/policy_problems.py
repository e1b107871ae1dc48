"""What is wrong with a policy as a whole, line by line."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import partial

from scoring.core import document
from scoring.core.policy.policy_file import Levels, PolicyFile
from scoring.core.policy.rules.inputs import Type, limit_type
from scoring.core.policy.rules.problem import RuleProblem, caret, position
from scoring.core.policy.segments import Where, texts_of
from scoring.core.transaction.card_number import holds_card_number

Path = tuple[str | int, ...]
_READ = re.compile(r"\b(limits|lists)\s*\.\s*([a-z][a-z0-9_]*)")


def contradictions(text: str, file: PolicyFile, *, name: str) -> list[str]:
    """What a field alone cannot tell: names that must agree."""
    at = partial(_problem, text, name)
    problems = [
        at(("rules", i, "id"), f"{rule.id!r} is taken; rename one of the two")
        for i, rule in enumerate(file.rules)
        if rule.id in [other.id for other in file.rules[:i]]
    ]
    problems += [
        at(path, f"reasons has no wording for {code}; add it there")
        for path, code in _codes(file)
        if code not in file.reasons
    ]
    for limit_name, limit in file.limits.items():
        written = [limit.default, *(case.limit for case in limit.segments)]
        if limit_type(limit_name) is Type.INTEGER and any(x % 1 for x in written):
            problems.append(
                at(("limits", limit_name), "a limit in _minor is a whole number")
            )
    said = "holds a card number; write its token instead"
    problems += [
        at(path, said)
        for path, written in _texts((), file.model_dump(mode="json"))
        if holds_card_number(written)
    ]
    return problems + _shadowed(file, at) + _unreachable(file, at)


def remarks(file: PolicyFile, always: Collection[int] = ()) -> list[str]:
    """What is allowed and seldom meant; `always` are clauses that always hold.

    Case and blanks of a token count: "Shop-1" in a list does not match "shop-1".
    """
    rules = [_place(file, clause) for clause in sorted(always)]
    found = [f"rules.{i} ({file.rules[i].id}): holds for every payment" for i in rules]
    return [*found, *_alike(file), *_never_applied(file), *_unread(file)]


def _alike(file: PolicyFile) -> Iterator[str]:
    """Tokens listed together that are one, or look as if they were."""
    for place, tokens in _tokens(file):
        kept: dict[str, str] = {}
        seen: set[str] = set()
        for token in tokens:
            if token in seen and place.startswith("lists."):
                yield f"{place}: {token!r} occurs twice; the last to end counts"
            seen.add(token)
            if token != token.strip():
                yield f"{place}: {token!r} begins or ends with a blank"
            other = kept.setdefault(token.strip().casefold(), token)
            if other != token:
                yield f"{place}: {other!r} and {token!r} differ only in case"


def _never_applied(file: PolicyFile) -> Iterator[str]:
    """Levels of a segment above the default's level of a stricter outcome."""
    default = file.thresholds.default
    for i, case in enumerate(file.thresholds.segments):
        strictest: tuple[float, str] | None = None
        for name in reversed(Levels.model_fields):
            own = name in case.model_fields_set
            level = getattr(case if own else default, name)
            if level is None:
                continue
            if strictest and level > strictest[0]:
                yield (
                    f"thresholds.segments.{i}: {name} {level:g} never applies: "
                    f"{strictest[1]} begins at {strictest[0]:g}; write both"
                )
            else:
                strictest = (level, name)


def _unread(file: PolicyFile) -> Iterator[str]:
    """What the file holds and nothing in it reads."""
    read = {name for rule in file.rules for name in _READ.findall(rule.when)}
    serving = [name for name, listed in file.lists.items() if not listed.field]
    for part, names in (("limits", list(file.limits)), ("lists", serving)):
        for name in names:
            if (part, name) not in read:
                yield f"{part}.{name}: no rule reads it"
    said = {code for _, code in _codes(file)}
    for code in file.reasons:
        if code not in said:
            yield f"reasons.{code}: nothing says it"


def _tokens(file: PolicyFile) -> Iterator[tuple[str, list[str]]]:
    """Tokens that are listed together, by where they are."""
    for name, listed in file.lists.items():
        yield f"lists.{name}", [entry.token for entry in listed.entries]
    parts: dict[str, list[Where | None]] = {
        "thresholds.segments": [case.where for case in file.thresholds.segments],
        "fallbacks": [case.where for case in file.fallbacks],
    }
    for name, limit in file.limits.items():
        parts[f"limits.{name}.segments"] = [case.where for case in limit.segments]
    for place, wheres in parts.items():
        yield (
            f"{place}.where.merchant",
            [m for w in wheres if w for m in texts_of(w).get("merchant", ())],
        )


def _codes(file: PolicyFile) -> list[tuple[tuple[str | int, ...], str | None]]:
    found: list[tuple[tuple[str | int, ...], str | None]] = [
        (("lists", name, "reason_code"), listed.reason_code)
        for name, listed in file.lists.items()
    ]
    for part in ("rules", "fallbacks"):
        found += [
            ((part, i, "reason_code"), entry.reason_code)
            for i, entry in enumerate(getattr(file, part))
        ]
    found += [
        (("rules", i, "missing_reason_code"), rule.missing_reason_code)
        for i, rule in enumerate(file.rules)
    ]
    found += [(("default", "reason_code"), file.default.reason_code)]
    found += [(("approved",), file.approved)]
    if file.let_through is not None:
        found.append((("let_through",), file.let_through.reason_code))
    return [(path, code) for path, code in found if code is not None]


def _texts(path: Path, part: object) -> Iterator[tuple[Path, str]]:
    """Every text of a file, and where it is."""
    if isinstance(part, str):
        yield path, part
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from _texts((*path, name), value)
    elif isinstance(part, list):
        for i, value in enumerate(part):
            yield from _texts((*path, i), value)


def _shadowed(file: PolicyFile, at: Callable[..., str]) -> list[str]:
    """Segments that are there twice: the first that matches wins."""
    parts: dict[tuple[str, ...], list[Where]] = {
        ("limits", name, "segments"): [case.where for case in limit.segments]
        for name, limit in file.limits.items()
    }
    parts["thresholds", "segments"] = [x.where for x in file.thresholds.segments]
    problems = []
    for path, wheres in parts.items():
        first: dict[Where, int] = {}
        for i, where in enumerate(wheres):
            if first.setdefault(where, i) != i:
                said = f"never reached: segments.{first[where]} has the same `where`"
                problems.append(at((*path, i), said))
    return problems


def _unreachable(file: PolicyFile, at: Callable[..., str]) -> list[str]:
    closed: dict[str, int] = {}
    problems = []
    for i, fallback in enumerate(file.fallbacks):
        for code in fallback.degradation:
            if code in closed:
                above = f"fallbacks.{closed[code]}"
                problems.append(
                    at(
                        ("fallbacks", i),
                        f"never reached for {code}: {above} has no `where`; move it up",
                    )
                )
            elif fallback.where is None:
                closed[code] = i
    return problems


def _problem(text: str, name: str, path: tuple[str | int, ...], what: str) -> str:
    where = ".".join(map(str, path))
    return f"{name}:{document.line_of(text, path)}: {where}: {what}"


def located(
    text: str, file: PolicyFile, clause: int, problem: RuleProblem, *, name: str
) -> str:
    """A rule's problem with its line in the file and a caret in its text."""
    i = _place(file, clause)
    when = file.rules[i].when
    line = document.line_of(text, ("rules", i, "when"))
    if re.search(r"\|[+-]?\s*$", text.splitlines()[line - 1]):
        line += position(when, problem.offset)[0]
    where = f"rules.{i} ({file.rules[i].id}).when"
    return f"{name}:{line}: {where}: {problem.message}\n{caret(when, problem.offset)}"


def unconditional(
    text: str, file: PolicyFile, always: Collection[int], *, name: str
) -> list[str]:
    """The rules that decide every payment for good; `always` are clauses that hold so.

    One that ends is a measure for a while, and one in shadow counts payments.
    """
    problem = RuleProblem(
        0,
        "holds for every payment; write its condition, `expires` for a measure that "
        "ends, or `mode: shadow`",
    )
    rules = {clause: file.rules[_place(file, clause)] for clause in sorted(always)}
    return [
        located(text, file, clause, problem, name=name)
        for clause, rule in rules.items()
        if rule.mode == "enforce" and rule.expires is None
    ]


def _place(file: PolicyFile, clause: int) -> int:
    """Which rule of the file a clause is; acting lists come before, those off lack."""
    acting = sum(1 for listed in file.lists.values() if listed.field)
    active = [i for i, rule in enumerate(file.rules) if rule.mode != "off"]
    return active[clause - acting]
