"""A policy, compiled once at load: thresholds, rules, lists, fallbacks, reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from math import inf

from scoring.core import document
from scoring.core.decision.decision import (
    Arm,
    DegradationCode,
    Outcome,
    Reason,
    ReasonSource,
    RuleMode,
)
from scoring.core.features.bounds import Bounds
from scoring.core.features.catalogue import Catalogue
from scoring.core.features.statistic import STATISTICS
from scoring.core.policy.breaker import Guard, guards_of
from scoring.core.policy.let_through import LetThroughSample
from scoring.core.policy.lists import expiries, ms_of
from scoring.core.policy.policy_file import (
    Fallback,
    Levels,
    Limit,
    PolicyFile,
    Rule,
    Thresholds,
    degradation,
    outcome,
)
from scoring.core.policy.policy_problems import contradictions, located, unconditional
from scoring.core.policy.reasons import ReasonTable, default_reasons
from scoring.core.policy.rollout import Rollouts, rollouts
from scoring.core.policy.rules.inputs import Schema, Type, limit_type
from scoring.core.policy.rules.program import (
    Bindings,
    Clause,
    Listed,
    RuleProgram,
    compiled,
)
from scoring.core.policy.ruling import ClauseAsk, Judge, rulings
from scoring.core.policy.segments import Amount, Choice, choice

_VERSION_CHARACTERS = 16

_EMPTY: Listed = {}

# (challenge, review, decline): the probability from which on each applies.
Cuts = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Measure:
    """What to do for a degradation; UNSPECIFIED continues with the score."""

    outcome: Outcome
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What `decide` runs: immutable, shared by every transaction until replaced.

    `ruling` maps the program's two masks, and that of the clauses that are quiet for
    this payment (see `rollouts`), to what rules and lists ask for; `reasons` are the
    model's, by feature group. `guards` are the breaker's; `sample` lets would-be
    declines through. `arm` is this policy's in a rollout.
    """

    version: str
    name: str
    file: PolicyFile
    asks: tuple[ClauseAsk, ...]
    program: RuleProgram
    ruling: Judge
    cuts: Choice[Cuts]
    measures: Mapping[DegradationCode, Choice[Measure]]
    default: Measure
    approved: Reason
    reasons: ReasonTable
    model_reasons_max: int
    features: tuple[str, ...]
    rollouts: Rollouts = field(default_factory=Rollouts)
    guards: Mapping[str, Guard] = field(default_factory=dict)
    sample: LetThroughSample | None = None
    arm: Arm = Arm.UNSPECIFIED

    @property
    def managed(self) -> frozenset[str]:
        """The lists whose tokens come from the control plane."""
        lists = self.file.lists.items()
        return frozenset(name for name, listed in lists if listed.managed)

    def with_lists(self, lists: Mapping[str, Listed]) -> Policy:
        """The same version, with these tokens on its managed lists; others stay empty.

        Takes microseconds: nothing is compiled again.
        """
        held = {name: lists.get(name, _EMPTY) for name in self.managed}
        if not held:
            return self
        return replace(self, program=self.program.with_lists(held))


def load_policy(
    text: str, *, catalogue: Catalogue, name: str, reasons: ReasonTable | None = None
) -> Policy:
    """Validate and compile; raises `BadArtifact` listing every mistake.

    Each line of the message reads "file:line: field: what is wrong; remedy".
    """
    file = document.load(text, PolicyFile, name=name)
    return policy_of(file, text, catalogue=catalogue, name=name, reasons=reasons)


def policy_of(
    file: PolicyFile,
    text: str,
    *,
    catalogue: Catalogue,
    name: str,
    reasons: ReasonTable | None = None,
) -> Policy:
    """Compile a policy whose file was loaded from a text; raises as `load_policy`."""
    table = default_reasons(catalogue) if reasons is None else reasons
    problems = contradictions(text, file, name=name)
    clauses, asks = _clauses(file)
    program, refused = compiled(
        clauses, _schema(file, catalogue), _bindings(file, catalogue.amount)
    )
    problems += [located(text, file, i, p, name=name) for i, p in refused]
    problems += unconditional(text, file, program.always, name=name)
    if problems:
        raise document.refusal(problems, name=name)
    return Policy(
        version=_version(file, table),
        name=file.name,
        file=file,
        asks=asks,
        program=program,
        ruling=rulings(asks),
        cuts=_cuts(file.thresholds, catalogue.amount),
        measures=_measures(file, catalogue.amount),
        default=_measure(file, file.default.outcome, file.default.reason_code),
        approved=Reason(
            file.approved, _wording(file, file.approved), ReasonSource.MODEL
        ),
        reasons=table,
        model_reasons_max=file.model_reasons_max,
        features=catalogue.names,
        rollouts=_rollouts(file, asks),
        guards=guards_of(file),
        sample=_sample(file, catalogue.amount),
    )


def refused_rules(file: PolicyFile, catalogue: Catalogue) -> list[str]:
    """The ids of the rules that these definitions cannot evaluate."""
    clauses, asks = _clauses(file)
    _, refused = compiled(
        clauses, _schema(file, catalogue), _bindings(file, catalogue.amount)
    )
    return [asks[i].name for i, _ in refused]


def _version(file: PolicyFile, table: ReasonTable) -> str:
    """A hash of everything that changes a decision; comments change nothing."""
    parts = [part.model_dump(mode="json") for part in (file, table.file)]
    text = json.dumps(parts, sort_keys=True)
    return sha256(text.encode()).hexdigest()[:_VERSION_CHARACTERS]


# Rules and lists ----------------------------------------------------------------


def _clauses(file: PolicyFile) -> tuple[list[Clause], tuple[ClauseAsk, ...]]:
    """Lists that act by themselves, then rules that are not off, in file order."""
    clauses: list[Clause] = []
    asks: list[ClauseAsk] = []
    for name, listed in file.lists.items():
        if listed.field and listed.then and listed.reason_code:
            item = f"transaction.{listed.field}"
            # What a transaction lacks is on no list: known not to hold.
            clauses.append(Clause(f"has({item}) && {item} in lists.{name}"))
            asks.append(
                ClauseAsk(
                    f"lists.{name}",
                    outcome(listed.then),
                    RuleMode.ENFORCE,
                    listed.rank(),
                    ReasonSource.LIST,
                    listed.reason_code,
                    _wording(file, listed.reason_code),
                )
            )
    for rule in file.rules:
        if rule.mode != "off":
            clauses.append(Clause(rule.when, _ms(rule.starts), _ms(rule.expires)))
            asks.append(_ask(file, rule))
    return clauses, tuple(asks)


def _ask(file: PolicyFile, rule: Rule) -> ClauseAsk:
    missing = rule.on_missing
    return ClauseAsk(
        rule.id,
        outcome(rule.then),
        RuleMode[rule.mode.upper()],
        rule.priority,
        ReasonSource.RULE,
        rule.reason_code,
        _wording(file, rule.reason_code),
        Outcome.UNSPECIFIED if missing == "no_match" else outcome(missing),
        rule.missing_reason_code or "",
        _wording(file, rule.missing_reason_code or ""),
        rule.case,
    )


def _rollouts(file: PolicyFile, asks: tuple[ClauseAsk, ...]) -> Rollouts:
    shares = {rule.id: rule.rollout for rule in file.rules}
    return rollouts((ask.name, shares.get(ask.name)) for ask in asks)


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else ms_of(instant)


def _wording(file: PolicyFile, code: str) -> str:
    return file.reasons.get(code, "")


def _schema(file: PolicyFile, catalogue: Catalogue) -> Schema:
    falling = frozenset(
        name
        for name, feature in catalogue.features.items()
        if feature.windowed and STATISTICS[feature.statistic].falls
    )
    constants = {
        name: None if limit.segments else limit_number(name, limit.default)
        for name, limit in file.limits.items()
    }
    tokens = {
        name: tuple(entry.token for entry in listed.entries)
        for name, listed in file.lists.items()
    }
    bounds = {f"limits.{name}": _written(limit) for name, limit in file.limits.items()}
    bounds |= catalogue.bounds
    return Schema(catalogue.names, falling, constants, tokens, bounds)


def clauses_of(file: PolicyFile) -> tuple[Clause, ...]:
    """The clauses of a policy, in the order of its masks' bits."""
    return tuple(_clauses(file)[0])


def _written(limit: Limit) -> Bounds:
    """Between which numbers a limit lies, whatever the segment."""
    numbers = [limit.default, *(case.limit for case in limit.segments)]
    return Bounds(min(numbers), max(numbers))


def _bindings(file: PolicyFile, amount: Amount) -> Bindings:
    return Bindings(
        {
            name: _limit(name, limit, amount).resolve
            for name, limit in file.limits.items()
            if limit.segments
        },
        {name: expiries(listed.entries) for name, listed in file.lists.items()},
    )


def _limit(name: str, limit: Limit, amount: Amount) -> Choice[float]:
    cases = [(case.where, limit_number(name, case.limit)) for case in limit.segments]
    return choice(limit_number(name, limit.default), cases, amount)


def limit_number(name: str, written: float) -> float:
    """A limit's number as rules compare it: whole minor units, or a decimal."""
    return int(written) if limit_type(name) is Type.INTEGER else float(written)


# Thresholds and fallbacks -------------------------------------------------------


def _cuts(thresholds: Thresholds, amount: Amount) -> Choice[Cuts]:
    default = thresholds.default
    cases = [(case.where, _levels(case, default)) for case in thresholds.segments]
    return choice(_levels(default, default), cases, amount)


def _levels(levels: Levels, default: Levels) -> Cuts:
    def level(name: str) -> float:
        written = getattr(levels if name in levels.model_fields_set else default, name)
        return inf if written is None else float(written)

    return level("challenge"), level("review"), level("decline")


def _measures(
    file: PolicyFile, amount: Amount
) -> Mapping[DegradationCode, Choice[Measure]]:
    measures = {}
    go_on = Measure(Outcome.UNSPECIFIED, None)
    for code in DegradationCode:
        written = [f for f in file.fallbacks if code in map(degradation, f.degradation)]
        cases = [(f.where, _fallback(file, f)) for f in written if f.where]
        # What is below one without `where` is never reached; load refuses it.
        plain = [_fallback(file, f) for f in written if not f.where]
        if written:
            measures[code] = choice(plain[0] if plain else go_on, cases, amount)
    return measures


def _fallback(file: PolicyFile, fallback: Fallback) -> Measure:
    if fallback.then == "score" or fallback.reason_code is None:
        return Measure(Outcome.UNSPECIFIED, None)
    return _measure(file, fallback.then, fallback.reason_code)


def _measure(file: PolicyFile, then: str, code: str) -> Measure:
    reason = Reason(code, _wording(file, code), ReasonSource.FALLBACK)
    return Measure(Outcome[then.upper()], reason)


def _sample(file: PolicyFile, amount: Amount) -> LetThroughSample | None:
    written = file.let_through
    if written is None:
        return None
    code = written.reason_code
    return LetThroughSample(
        written.share,
        written.amount_minor_max,
        written.budget_minor_per_day,
        Reason(code, _wording(file, code), ReasonSource.SAMPLE),
        amount,
    )
