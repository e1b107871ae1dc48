"""The wiring of cases in `scoring control`: what fills the queue, what leaves it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from scoring.control.case_intake import CaseIntake, DecisionsTopic
from scoring.control.database.case_labels import LabelOutbox
from scoring.control.database.database import Database
from scoring.control.database.relaying import LeaseTable
from scoring.control.database.unit_of_work import reading
from scoring.control.desks.case_admission import CaseAdmission
from scoring.control.domain.topic_held import TopicHeld
from scoring.control.labels_topic import LabelsTopic
from scoring.control.lease import TTL_MS, Lease
from scoring.control.relay import Relay
from scoring.errors import DatabaseUnavailable
from scoring.kafka.client_options import client_options
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings
from scoring.telemetry.control_metrics import ControlMetrics
from scoring.wiring.connections import unconnected_log
from scoring.wiring.control_parts import case_rules_from
from scoring.wiring.definitions import catalogue_from
from scoring.wiring.services import now_ms
from scoring.wiring.supervision import kept_running

_LOOK_S = 5.0
_ERASE_S = 3_600.0
_MS_PER_S, _MS_PER_DAY = 1_000, 86_400_000


@dataclass(frozen=True, slots=True)
class CaseWork:
    """What works on cases beside people: the intake, and the relay of their labels.

    Both are None without a broker.
    """

    database: Database
    admission: CaseAdmission
    intake: CaseIntake | None
    labels: Relay | None

    @property
    def outside(self) -> dict[str, Callable[[], bool]]:
        """Whether what lies outside answers, by name."""
        intake, labels = self.intake, self.labels
        if intake is None or labels is None:
            return {}
        return {
            "decisions": lambda: not intake.fault,
            "labels": lambda: not labels.fault,
        }

    def begin(self, metrics: ControlMetrics) -> list[asyncio.Task[None]]:
        """Work, until these are cancelled."""
        work = [kept_running("the look at cases", lambda: self._look(metrics))]
        if self.intake is not None and self.labels is not None:
            work.append(kept_running("the intake of cases", self.intake.run))
            work.append(kept_running("the relay of labels", self.labels.run))
        return [asyncio.create_task(each) for each in work]

    async def _look(self, metrics: ControlMetrics) -> None:
        """Look how the queue is, and erase what has been kept long enough."""
        erase_at = time.monotonic()
        while True:
            with suppress(DatabaseUnavailable):
                await asyncio.to_thread(self._told, metrics)
                if time.monotonic() >= erase_at:
                    more = await asyncio.to_thread(self.admission.erase_old)
                    erase_at = time.monotonic() + (0 if more else _ERASE_S)
            await asyncio.sleep(_LOOK_S)

    def _told(self, metrics: ControlMetrics) -> None:
        at_ms = now_ms()
        with reading(self.database) as work:
            figures = work.cases.figures(at_ms=at_ms)
        oldest_ms = at_ms if figures.oldest_ms is None else figures.oldest_ms
        metrics.queue(
            {
                "open": figures.open,
                "assigned": figures.assigned,
                "overdue": figures.overdue,
            },
            oldest_s=max(0, at_ms - oldest_ms) / _MS_PER_S,
            labels=LabelOutbox(self.database).waiting(),
        )
        if (intake := self.intake) is not None:
            metrics.intake(
                behind=intake.behind,
                passed_over={"unreadable": intake.unreadable, "missed": intake.missed},
            )


def case_work_from(settings: Settings, database: Database, holder: str) -> CaseWork:
    """The work on cases of this copy, by the name that its leases are held under."""
    admission = CaseAdmission(database, now_ms, case_rules_from(settings))
    if not settings.kafka_bootstrap:
        return CaseWork(database, admission, None, None)
    topics = Topics(settings.topic_prefix)
    topic = DecisionsTopic(
        bootstrap=settings.kafka_bootstrap,
        options=client_options(settings.kafka_options),
        name=topics.decisions,
        fetch_wait_ms=settings.fetch_wait_ms,
        backlog_ms=round(settings.case_backlog_days * _MS_PER_DAY),
    )
    reads = _lease(database, "cases", holder)
    writes = _lease(database, "case labels", holder)
    intake = CaseIntake(
        topic, admission, catalogue_from(settings).amount, reads, now_ms
    )
    to = LabelsTopic(topics, lambda: _unconnected(settings))
    outbox = LabelOutbox(database)
    what = "labels of cases"
    labels = Relay(outbox, to, writes, now_ms, _nothing_to_agree, what=what)
    return CaseWork(database, admission, intake, labels)


def _nothing_to_agree(_held: TopicHeld, _at_ms: int) -> None:
    """Labels are numbered by their own payments, not over the topic."""


def _unconnected(settings: Settings) -> KafkaLog:
    unconnected = unconnected_log(settings, None)
    assert unconnected is not None  # a broker is named
    return unconnected


def _lease(database: Database, name: str, holder: str) -> Lease:
    rows = LeaseTable(database, name, lambda: now_ms() + TTL_MS)
    return Lease(rows, holder, time.monotonic)
