"""The systems outside: store and log, and what waits for them."""

from __future__ import annotations

from scoring.ports.metrics.metric import MetricLabel, Unit, gauge

AVAILABLE = gauge(
    "fraud_available", Unit.FLAG,
    "1 while a system is asked, 0 while it is unavailable. control: the topic of "
    "releases.",
    "0: the log names its address and what it said.",
    MetricLabel("system", bounded_by="store, log, and control where releases decide"),
)  # fmt: skip
REASONS = (
    "history_lost", "late", "no_contact", "refused", "silent", "unreachable", "waiting",
)  # fmt: skip
REASON = gauge(
    "fraud_unavailable_state", Unit.STATE,
    "1 for the reason why a system is unavailable. history_lost: it is empty; late: no "
    "answer within a check's time; no_contact: never answered yet; refused: it answers "
    "with an error; silent: connected, and says nothing; unreachable: no connection; "
    "waiting: records wait for the brokers.",
    "history_lost: `scoring rebuild`; refused: read its message in the log (OOM, "
    "READONLY, NOAUTH); others: is it up, and is the way to it?",
    MetricLabel("system", ("store", "log")), MetricLabel("reason", REASONS),
)  # fmt: skip
CIRCUIT_STATES = ("closed", "open", "half_open")
CIRCUIT = gauge(
    "fraud_circuit_state", Unit.STATE,
    "1 for the state of the store's circuit breaker: closed: asked; open: not asked; "
    "half_open: asked on trial.",
    "open: fraud_unavailable_state says why; half_open for long: it answers probes and "
    "fails our calls.",
    MetricLabel("state", CIRCUIT_STATES),
)  # fmt: skip
PROVISIONAL = gauge(
    "fraud_provisional_decisions", Unit.DECISIONS,
    "Provisional decisions that wait to be reconciled with the store.",
    "0 again soon after the store has recovered; at SCORING_PROVISIONAL_COUNT_MAX "
    "further ones are not kept.",
)  # fmt: skip
PROVISIONAL_AGE = gauge(
    "fraud_provisional_age_seconds", Unit.SECONDS,
    "Age of the oldest of them; 0 for none.",
    "Growing while the store is available: the log says what cannot be reconciled.",
)  # fmt: skip
SPOOL = gauge(
    "fraud_spool_bytes", Unit.BYTES,
    "What this process keeps of them under SCORING_STATE_DIR.",
    "Near its limit, or provisional_overflow counted: bring the store back, or a "
    "larger disk.",
)  # fmt: skip
LOG_WAITING = gauge(
    "fraud_log_waiting_decisions", Unit.DECISIONS,
    "Decisions of this process on their way to the log, not acknowledged.",
    "Growing: brokers are slow or unavailable; nothing is lost meanwhile.",
)  # fmt: skip
LOG_WAITING_AGE = gauge(
    "fraud_log_waiting_age_seconds", Unit.SECONDS,
    "Age of the oldest of them; 0 for none.",
    "Above some seconds: the brokers do not acknowledge.",
)  # fmt: skip
OUTBOX = gauge(
    "fraud_outbox_decisions", Unit.DECISIONS,
    "Entries of the store's outbox at the last look. One process of all looks; the "
    "others show NaN.",
    "Growing: the log takes too little, or entries cannot be read: outbox_unreadable.",
    unknown=True,
)  # fmt: skip
STORE_MEMORY = gauge(
    "fraud_store_memory_bytes", Unit.BYTES,
    "Memory of the store's servers that take writes, together (used_memory).",
    "Near the limit: a store that is full refuses writes, and decisions become "
    "provisional. Add memory, or shorten SCORING_DEDUPE_S.",
    unknown=True,
)  # fmt: skip
STORE_MEMORY_MAX = gauge(
    "fraud_store_memory_limit_bytes", Unit.BYTES,
    "Their maxmemory; 0 where a server has none.",
    "Set one below the machine's memory.", unknown=True,
)  # fmt: skip
SCRIPT_SECONDS = gauge(
    "fraud_store_script_seconds", Unit.SECONDS,
    "Time that the store's servers have spent in our program since they started; its "
    "rate is the share of one core each.",
    "Near 1: the store is the limit; see the guide on clusters.", unknown=True,
)  # fmt: skip
SCRIPT_CALLS = gauge(
    "fraud_store_script_calls", Unit.CALLS,
    "Calls of our program since the servers started.",
    "Divide the seconds by it: the time of one call.", unknown=True,
)  # fmt: skip
