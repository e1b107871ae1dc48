"""What a process runs: its build, model, policy, lists and certificates."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, gauge, histogram

BUILD = gauge(
    "fraud_build_info", Unit.INFO, "1; what this process is.",
    "Two replicas that differ: a roll-out is under way, or stuck.",
    MetricLabel("version", bounded_by="one a process"),
    MetricLabel("python", bounded_by="one a process"),
    MetricLabel("definitions", bounded_by="one a process"),
)  # fmt: skip
MODEL = gauge(
    "fraud_model_info", Unit.INFO, "1 for the model that decides.",
    "Two replicas that differ: one does not see the promotion, or refuses the model "
    "(model_refused); see its log.",
    MetricLabel("model", bounded_by="the model in use"),
)  # fmt: skip
CERTIFICATE = gauge(
    "fraud_certificate_expiry_timestamp_seconds", Unit.SECONDS,
    "When the certificate that new connections get expires, or the first of its "
    "callers' roots; NaN without TLS.",
    "Less than 7 days ahead: replace the files; they are read without a restart.",
    MetricLabel("certificate", ("server", "client_ca")), unknown=True,
)  # fmt: skip
LOOP_LAG = histogram(
    "fraud_event_loop_lag_seconds",
    "How much later than asked the event loop woke up, looked at four times a second.",
    "Above 10 ms often: this process has too much to do, or too little of a core.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)  # fmt: skip
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
