"""Builds what keeps answers until they are in the record and the log."""

from __future__ import annotations

import re
from functools import partial

from scoring import wire
from scoring.core.features.catalogue import Catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.doors.stream.dead_letters import VALUE_BYTES_MAX, refusal_record
from scoring.errors import RecordRefused
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.topic_names import Topics
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.outbox_relay import OutboxRelay
from scoring.pipeline.reconciler import Provisional, is_answer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.events import Event
from scoring.ports.log import DecisionLog, LogRecord
from scoring.ports.patience import StorePatience
from scoring.ports.spool import Spool
from scoring.ports.telemetry import Telemetry
from scoring.settings import Settings
from scoring.stores.spool import FileSpool, MemorySpool
from scoring.wiring.connections import CONTENT_TYPES

_SPOOL_BYTES_PER_ANSWER = 2_048  # twice a typical logged decision
# An append and its mark in the outbox cost as much as deciding: where no reply waits
# for the log, the decisions of so long share them.
_LOG_GATHER_S = 0.02


def provisional_from(
    settings: Settings, name: str, gateway: StoreGateway, options: DoorOptions
) -> Provisional:
    """What keeps answers; on disk where any are given; raises `BadArtifact`."""
    gives_any = options.patience is StorePatience.ANSWER_IN_TIME
    telemetry = gateway.telemetry
    return Provisional(
        gateway,
        _spool(settings, name, telemetry) if gives_any else MemorySpool(count_max=0),
        telemetry,
        settings.provisional_count_max,
        options,
    )


def _spool(settings: Settings, name: str, telemetry: Telemetry) -> Spool:
    """This process's spool of provisional answers; raises `BadArtifact`."""
    stem = f"provisional-{settings.namespace}"
    spool = FileSpool(
        settings.state_dir,
        f"{stem}-{name}",
        # Of every door and worker, and of releases before the number at the end.
        re.compile(rf"{re.escape(stem)}-[a-z]+(-\d+)?(\.\d+)?\.spool"),
        bytes_max=settings.provisional_count_max * _SPOOL_BYTES_PER_ANSWER,
        whole=is_answer,
        damaged=partial(telemetry.count, Event.SPOOL_DAMAGED),
    )
    spool.open()
    return spool


def outbox_relay_from(
    settings: Settings,
    catalogue: Catalogue,
    provisional: Provisional,
    log: DecisionLog | None,
) -> OutboxRelay | None:
    """What hands answers on to the log, started; None where there is no log."""
    if log is None:
        return None
    records = DecisionRecords(
        Topics(settings.topic_prefix),
        CONTENT_TYPES[settings.decision_format],
        catalogue,
    )
    relay = OutboxRelay(
        outbox=provisional.gateway.store,
        log=log,
        record_of=partial(_record_of, records),
        letter_of=partial(_letter_of, settings),
        telemetry=provisional.telemetry,
        count_max=settings.provisional_count_max,
        gather_s=0.0 if settings.reply_after == "log" else _LOG_GATHER_S,
        logged=provisional.logged,
    )
    relay.start()
    return relay


def _record_of(
    records: DecisionRecords, logged: bytes, transaction: Transaction | None
) -> LogRecord:
    placed = transaction or wire.carried_of(logged, records.content_type)
    return records.record(logged, placed)


def _letter_of(
    settings: Settings, record: LogRecord, error: RecordRefused
) -> LogRecord:
    return refusal_record(
        record,
        error,
        topic=Topics(settings.topic_prefix).transactions_dead_letter,
        content_type=CONTENT_TYPES[settings.decision_format],
        # Where decisions are too large, letters may have to be small.
        bytes_max=VALUE_BYTES_MAX,
    )
