"""Reads names of metrics from queries, and knows which names there are."""

import re
from pathlib import Path

import yaml

from scoring.ports.metrics import METRICS, MetricKind

CHART = Path(__file__).resolve().parent.parent / "helm" / "fraud-scoring"
RULES = [
    rule
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
# What Prometheus and its client for Python count by themselves.
FOREIGN = {"ALERTS", "process_cpu_seconds_total", "process_resident_memory_bytes"}
_NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?=[{\[)\s<>=/*+-]|$)")
_LABELS = re.compile(r"\{[^}]*\}|\[[^]]*\]")
_BY = re.compile(r"\s*\bby \([^)]*\)\s*")
_MATCHING = re.compile(r"\b(on|group_left) \([^)]*\)")
_WORDS = {"and", "or", "unless"}


def metrics_in(query: str) -> set[str]:
    """The metrics that a query reads.

    >>> sorted(metrics_in("sum by (door) (rate(a_total{door!='x'}[5m])) / on () b > 1"))
    ['a_total', 'b']
    """
    bare = _MATCHING.sub(" ", _BY.sub("", _LABELS.sub(" ", query)))
    return {name for name in _NAME.findall(bare) if name not in _WORDS}


def known_metrics() -> set[str]:
    """Every metric that a process shows, and what the rules record."""
    names = {rule["record"] for rule in RULES if "record" in rule} | FOREIGN
    for metric in METRICS:
        ends = ("_bucket", "_count", "_sum")
        histogram = metric.kind is MetricKind.HISTOGRAM
        names |= {metric.name + end for end in ends} if histogram else {metric.scraped}
    return names
