"""Decisions: what they were, how they were made, and what became known of them."""

from __future__ import annotations

from scoring.core.decision.decision import DegradationCode, Door, Outcome, Rung
from scoring.ports.events import Event
from scoring.ports.metrics.calls import LATENCY_BUCKETS_S, PROBLEMS
from scoring.ports.metrics.metric import MetricLabel, Unit, counter, gauge, histogram

OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome if outcome)
DOORS = tuple(door.name.lower() for door in Door if door)
RUNGS = tuple(rung.name.lower() for rung in Rung if rung)
CAUSES = tuple(code.name.lower() for code in DegradationCode if code)
INPUTS = ("transactions", "labels", "events", "decisions")
IN_FORCE = "the versions in force, and those before the last change"
REPLACED = "replaced"  # of a decision whose versions are in force no more
STAGE_NAMES = (
    "queue", "observe", "vectorise", "predict", "second_look", "decide", "encode",
    "record",
)  # fmt: skip
_STAGE_BUCKETS_S = (
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25,
    0.5, 1.0, 5.0,
)  # fmt: skip
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
# Of the calibrated score: most transactions lie in the first, most frauds beyond.
BAND_ENDS = (0.01, 0.05, 0.2, 0.5)
BANDS = ("0", *map(str, BAND_ENDS))
_MODEL = MetricLabel("model", bounded_by="the model in use")

MADE = counter(
    "fraud_decisions", Unit.TIMES,
    'Decisions made. provisional="true": without the record, until the store is back.',
    'Look into any provisional="true" and a jump in one outcome.',
    MetricLabel("outcome", OUTCOMES), MetricLabel("door", DOORS),
    MetricLabel("provisional", ("false", "true")),
    MetricLabel("policy", bounded_by=IN_FORCE),
    MetricLabel("model", bounded_by=IN_FORCE),
    MetricLabel("definitions", bounded_by="the feature definitions of the process"),
)  # fmt: skip
RUNG = counter(
    "fraud_decisions_by_rung", Unit.TIMES,
    "Decisions by how much of the path was available, best first: full, "
    "partial_features, without_history, rules_only, default.",
    "Anything but full: fraud_degradations_total says what was missing.",
    MetricLabel("rung", RUNGS),
)  # fmt: skip
DEGRADATIONS = counter(
    "fraud_degradations", Unit.TIMES, "What was missing when decisions were made.",
    "history_unavailable, not_recorded: the store; out_of_time: load, or a slow store; "
    "model_unavailable: the log says why; amount_unknown: a currency without a rate.",
    MetricLabel("cause", CAUSES),
)  # fmt: skip
SECONDS = histogram(
    "fraud_check_seconds",
    "Time of a check from its admission to its decision, items of batches and streams "
    "too; kafka: from the poll.",
    "Which door grew? Then fraud_stage_seconds: which stage.",
    MetricLabel("door", DOORS), buckets=LATENCY_BUCKETS_S,
)  # fmt: skip
WAITING = gauge(
    "fraud_waiting_transactions", Unit.TRANSACTIONS,
    "Checks that wait for their micro-batch.",
    "Growing: more arrive than are decided; fraud_events_total counts what is shed.",
)  # fmt: skip
DECIDING = gauge(
    "fraud_deciding_transactions", Unit.TRANSACTIONS,
    "Checks in micro-batches that are being decided.",
    "Compare with fraud_waiting_transactions.",
)  # fmt: skip
DEAD_LETTERS = counter(
    "fraud_dead_letters", Unit.TIMES,
    "Dead letters by the topic of their input and by their problem; decisions: the log "
    "would not take the decision itself.",
    "`scoring dead-letters list` shows them; mend the cause, then `replay`.",
    MetricLabel("input", INPUTS), MetricLabel("problem", PROBLEMS),
)  # fmt: skip
REPEATS = counter(
    "fraud_repeats", Unit.TIMES, "Repeats answered with the recorded decision.",
    "Many: callers retry; see fraud_refusals_total and their own timeouts.",
)  # fmt: skip
CONFLICTS = counter(
    "fraud_conflicts", Unit.TIMES, "Ids sent with another payload.",
    "A caller reuses ids: find it in the log, and tell its owner.",
)  # fmt: skip
STAGES = histogram(
    "fraud_stage_seconds", "Time of one batch by stage.",
    "Which one grew: queue: load; observe and record: the store; the rest: this CPU.",
    MetricLabel("stage", STAGE_NAMES), buckets=_STAGE_BUCKETS_S,
)  # fmt: skip
BATCH = histogram(
    "fraud_batch_transactions", "Transactions decided together.",
    "More under load, which is how load is absorbed.",
    buckets=_BATCH_BUCKETS, unit=Unit.TRANSACTIONS,
)  # fmt: skip
EVENTS = counter(
    "fraud_events", Unit.TIMES, "Named events; docs/metrics.md says what each means.",
    "See the event.", MetricLabel("event", tuple(event.value for event in Event)),
)  # fmt: skip
LABELLED = counter(
    "fraud_labelled", Unit.TIMES,
    "Labels reported, by model, range of its score and verdict of the label.",
    "Compare frauds with fraud_labelled_expected_total.",
    _MODEL, MetricLabel("band", BANDS), MetricLabel("verdict", ("fraud", "genuine")),
)  # fmt: skip
LABELLED_EXPECTED = counter(
    "fraud_labelled_expected", Unit.TIMES,
    "Frauds that the scores of labelled transactions add up to.",
    "Far from the labelled frauds: the scores are no probabilities any more; train.",
    _MODEL, MetricLabel("band", BANDS),
)  # fmt: skip
ROWS = gauge(
    "fraud_model_rows", Unit.ROWS,
    "Sampled rows of the last day behind the next three metrics, which are absent "
    "below 1,000.",
    "0 while decisions are made: the model carries no baseline.", _MODEL,
)  # fmt: skip
SCORE_STABILITY = gauge(
    "fraud_score_stability", Unit.INDEX, "Stability index of the score, last day.",
    "Above 0.25 scores are no longer distributed as in training: find which feature "
    "moved.", _MODEL,
)  # fmt: skip
_FEATURE = MetricLabel("feature", bounded_by="the model's features")
FEATURE_STABILITY = gauge(
    "fraud_feature_stability", Unit.INDEX,
    "Stability index of a feature's known values, last day.",
    "Above 0.25: which input moved, and did its feed change?", _MODEL, _FEATURE,
)  # fmt: skip
FEATURE_MISSING = gauge(
    "fraud_feature_missing_share", Unit.SHARE,
    "Share of missing values, last two hours, minus that at training (may be < 0).",
    "A jump: a feed broke, or callers leave a field out.", _MODEL, _FEATURE,
)  # fmt: skip
