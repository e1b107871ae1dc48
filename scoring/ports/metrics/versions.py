"""What a process runs: its build, policy, release and lists."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, gauge

POLICY = gauge(
    "fraud_policy_info", Unit.INFO,
    "1 for each policy version that decides, by arm (policy, candidate).",
    "Two replicas that differ: one lags, or has another file; see its log.",
    MetricLabel("policy", bounded_by="the policies in force, two at most"),
    MetricLabel("arm", ("policy", "candidate")),
)  # fmt: skip
RELEASE = gauge(
    "fraud_release_number", Unit.NUMBER,
    "Release in force; 0 where a file decides.",
    "A process below the others lags or refuses: fraud_refused_releases, and its log.",
)  # fmt: skip
RELEASE_PUBLISHED = gauge(
    "fraud_release_published_timestamp_seconds", Unit.SECONDS,
    "When the release in force was published; 0 where a file decides.",
    "Compare with now when a change does not seem to arrive.",
)  # fmt: skip
LISTS_REVISION = gauge(
    "fraud_lists_revision_number", Unit.NUMBER,
    "Revision of the managed lists in force; 0 where there are none.",
    "A process below the others lags.",
)  # fmt: skip
RELEASES_REFUSED = gauge(
    "fraud_refused_releases", Unit.RELEASES,
    "1 while what was published last is refused and the last good release decides.",
    "Should stay 0; the log says why. Publish one that loads.",
)  # fmt: skip
