"""The page of metrics and events, made from their declarations."""

from __future__ import annotations

from collections.abc import Sequence

from scoring.ports.events import Event
from scoring.ports.metrics import METRICS, ROOMS, Metric, MetricLabel, declared

_HEAD = """# Metrics

Made from their declarations by `make docs`; `SCORING_METRICS_PORT` opens them. Every
series whose labels are closed lists is there from the start, at 0; one process has
fewer than 2,000, and no label ever holds an id. A gauge that is not known is `NaN`.
[What to watch](guide-sre.md#watch) says how to read them.
"""
_TABLE = """
| metric | kind, unit | meaning | when it moves |
|---|---|---|---|
"""
_LABELS = """
## Labels

| label | values |
|---|---|
"""
_EVENTS = """
## Events

`fraud_events_total{event}` counts what has a name and nothing else.

| event | meaning |
|---|---|
"""


def metrics_page() -> str:
    """The page, Markdown."""
    rooms = "".join(
        f"\n## {_title(room.__doc__ or '')}\n{_TABLE}"
        + "".join(f"{_row(metric)}\n" for metric in declared(room))
        for room in ROOMS
    )
    events = "".join(f"| `{event.value}` | {event.meaning} |\n" for event in Event)
    return f"{_HEAD}{rooms}{_LABELS}{_label_rows()}{_EVENTS}{events}"


def _title(sentence: str) -> str:
    return sentence.rstrip(".")


def _row(metric: Metric) -> str:
    labels = ",".join(label.name for label in metric.labels)
    name = f"`{metric.scraped}{{{labels}}}`" if labels else f"`{metric.scraped}`"
    kind = f"{metric.kind.value}, {metric.unit.name.lower()}"
    return f"| {name} | {kind} | {metric.meaning} | {metric.act} |"


def _label_rows() -> str:
    """One row a label; where metrics give it different values, one each."""
    found: dict[str, list[MetricLabel]] = {}
    for metric in METRICS:
        for label in metric.labels:
            known = found.setdefault(label.name, [])
            if label not in known:
                known.append(label)
    return "".join(
        f"| `{name}` | {_values(label)} |\n"
        for name, labels in sorted(found.items())
        for label in labels
    )


def _values(label: MetricLabel) -> str:
    if not label.values:
        return f"bounded by {label.bounded_by}"
    if label.name == "event":
        return "see below"
    return _listed(label.values)


def _listed(values: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    print(metrics_page(), end="")  # noqa: T201
