"""What a service answered, for people: lines and tables of plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import transaction_pb2 as transactions

_BAR_WIDTH = 24
_US_PER_MS = 1_000


def decision(message: decisions.Decision) -> Iterator[str]:
    """A decision: what to do first, then why, then by what and how fast."""
    core, trace = message.core, message.trace
    yield f"{core.transaction_id}  {_word(decisions.Outcome, core.outcome)}"
    yield from _aligned(
        [
            ("score", f"{core.score:.4f}" if core.HasField("score") else "none"),
            *_each("reason", map(_reason, core.reasons)),
            *_each("rule", map(_hit, core.rule_hits)),
            *_each("missing", map(_missing, core.degradations)),
            *([("", "provisional: not recorded yet")] if core.provisional else []),
            ("rung", _word(decisions.Rung, core.rung)),
            ("model", core.versions.model or "none"),
            ("policy", core.versions.policy),
            ("features", core.versions.features),
            ("decided", f"{_time(trace.decided_at)}{_took(trace)}"),
        ]
    )


def life(message: calls.GetDecisionResponse) -> Iterator[str]:
    """A decision, and what became known of its payment since."""
    yield from decision(message.decision)
    yield from _aligned(
        [
            *_each("label", map(label, message.labels)),
            *_each("event", map(event, message.events)),
        ]
    )


def explanation(
    message: calls.ExplainDecisionResponse, *, rows_max: int
) -> Iterator[str]:
    """What each feature added to the log-odds, largest first, with a bar for each."""
    core, every = message.core, message.contributions
    yield (
        f"{core.transaction_id}  {_word(decisions.Outcome, core.outcome)}  "
        f"score {core.score:.4f}"
    )
    shown, rest = every[:rows_max], every[rows_max:]
    largest = max((abs(each.contribution) for each in every), default=0.0)
    rows = [("", "base", f"{message.base:+.3f}", "", "")]
    rows += [
        (
            each.feature,
            _number(each.value),
            f"{each.contribution:+.3f}",
            _bar(each.contribution, largest),
            each.reason_code,
        )
        for each in shown
    ]
    if rest:
        added = sum(each.contribution for each in rest)
        rows.append((f"{len(rest)} others", "", f"{added:+.3f}", "", ""))
    rows.append(("", "log-odds", f"{core.margin:+.3f}", "", ""))
    yield from table(("feature", "value", "added", "", "reason code"), rows)


def label(message: transactions.Label) -> str:
    """A label in a line."""
    source = _word(transactions.LabelSource, message.source)
    return (
        f"{message.version}: {_word(transactions.Verdict, message.verdict)}, "
        f"known at {_time(message.known_at)}"
        f"{'' if source == 'UNSPECIFIED' else f', by {source}'}"
    )


def event(message: transactions.LifecycleEvent) -> str:
    """A lifecycle event in a line."""
    finished, partial = message.three_ds_result, message.HasField("amount_minor")
    parts = (
        f"{message.event_id}: {_word(transactions.LifecycleKind, message.kind)}",
        f"at {_time(message.occurred_at)}",
        f"code {message.issuer_code}" if message.issuer_code else "",
        _word(transactions.ThreeDsStatus, finished) if finished else "",
        f"{message.amount_minor} minor units" if partial else "",
    )
    return ", ".join(part for part in parts if part)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their widest cell.

    >>> list(table(("a", "b"), [("long", "1")]))
    ['a     b', 'long  1']
    """
    every = [heads, *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    for row in every:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _aligned(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    for name, value in pairs:
        yield f"  {name:9} {value}"


def _each(name: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    """The name is before the first of its lines."""
    return [(name if not i else "", line) for i, line in enumerate(lines)]


def _reason(reason: decisions.Reason) -> str:
    if not reason.HasField("velocity"):
        return f"{reason.code}  {reason.wording}"
    seen = reason.velocity
    clears = (
        f", clears at {_time(seen.clears_at)}" if seen.HasField("clears_at") else ""
    )
    return (
        f"{reason.code}  {reason.wording} ({seen.feature} is {_number(seen.observed)}, "
        f"the limit {_number(seen.limit)}{clears})"
    )


def _hit(hit: decisions.RuleHit) -> str:
    mode = _word(decisions.RuleMode, hit.mode).lower()
    unknown = ", unknown: a value was missing" if hit.unknown else ""
    return f"{hit.rule}  {_word(decisions.Outcome, hit.outcome)} ({mode}{unknown})"


def _missing(lack: decisions.Degradation) -> str:
    return f"{_word(decisions.DegradationCode, lack.code)}  {lack.detail}".rstrip()


def _took(trace: decisions.DecisionTrace) -> str:
    stages = ", ".join(
        f"{stage.stage} {stage.duration_us / _US_PER_MS:.1f}" for stage in trace.stages
    )
    door = _word(decisions.Door, trace.door)
    return f" through {door}" + (f" (ms: {stages})" if stages else "")


def _word(enumeration: object, number: int) -> str:
    """A member without the name of its enumeration; of a later release, its number.

    >>> _word(decisions.Outcome, 4), _word(decisions.Outcome, 99)
    ('DECLINE', '99')
    """
    described = enumeration.DESCRIPTOR  # type: ignore[attr-defined]
    member = described.values_by_number.get(number)
    if member is None:
        return str(number)
    first = described.values_by_number[0].name
    return str(member.name).removeprefix(first.removesuffix("UNSPECIFIED"))


def _time(stamp: Timestamp) -> str:
    return stamp.ToJsonString()


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.6g}"


def _bar(value: float, largest: float) -> str:
    """As long as it is large; what lowers the score is drawn hollow.

    >>> _bar(0.5, 1.0), _bar(-0.25, 1.0)
    ('████████████', '░░░░░░')
    """
    length = round(_BAR_WIDTH * abs(value) / largest) if largest else 0
    return ("█" if value > 0 else "░") * length
