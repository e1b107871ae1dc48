"""The page of metrics and events, made from their declarations."""

from __future__ import annotations

from scoring.ports.events import Event
from scoring.ports.metrics import METRICS, Metric

_HEAD = """# Metrics

Made from their declarations by `make docs`; `SCORING_METRICS_PORT` opens them. Labels
are bounded: never an id. [What to watch](guide-sre.md#watch) says how to read them.

| metric | kind | unit | meaning |
|---|---|---|---|
"""
_EVENTS = """
## Events

`fraud_events_total{event}` counts what has a name and nothing else.

| event | meaning |
|---|---|
"""


def metrics_page() -> str:
    """The page, Markdown."""
    metrics = "".join(f"{_row(metric)}\n" for metric in METRICS)
    events = "".join(f"| `{event.value}` | {event.meaning} |\n" for event in Event)
    return f"{_HEAD}{metrics}{_EVENTS}{events}"


def _row(metric: Metric) -> str:
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    unit = metric.unit.name.lower()
    name = f"`{metric.scraped}{labels}`"
    return f"| {name} | {metric.kind.value} | {unit} | {metric.meaning} |"


if __name__ == "__main__":
    print(metrics_page(), end="")  # noqa: T201
