"""Decisions that go to people, and a desk of cases, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from control_parts import EVE, FAY, Clock, person

from scoring.control.database.unit_of_work import reading
from scoring.control.desks.case_admission import CaseAdmission, DecisionBatch
from scoring.control.desks.case_desk import CaseDesk
from scoring.control.desks.decided import read_from
from scoring.control.desks.list_desk import ListDesk
from scoring.control.domain.cases import CaseRules, CaseVerdict, ClosingWish
from scoring.control.domain.people import By
from scoring.core.features.catalogue import default_catalogue
from scoring.v1 import decision_pb2
from scoring.wire.messages import timestamp_from_ms

NOW_MS = 1_700_000_000_000
TOPIC, INCARNATION = "decisions", "aa"
GUS = person("gus", "analyst")
FRAUD, LEGITIMATE, INCONCLUSIVE = CaseVerdict
BY_FAY, BY_GUS = By(FAY, "looked at it"), By(GUS, "looked at it")
AMOUNT = default_catalogue().amount


def decision(id_="t1", *, at_ms=NOW_MS - 60_000, **changes) -> decision_pb2.Decision:
    """A logged decision: REVIEW, of 10.00 EUR; `changes` are of the payment or core."""
    told = decision_pb2.Decision()
    core, payment = told.core, told.transaction
    core.outcome = changes.pop("outcome", decision_pb2.OUTCOME_REVIEW)
    core.provisional = changes.pop("provisional", False)
    core.score = changes.pop("score", 0.5)
    core.versions.policy = "0123456789abcdef"
    for rule in changes.pop("rules", ["velocity"]):
        core.rule_hits.add(rule=rule, outcome=3, mode=1)
    for rule in changes.pop("sent_by", []):
        core.rule_hits.add(rule=rule, outcome=4, mode=1, case=True)
    core.reasons.add(code=changes.pop("reason", "TOO_MANY"), wording="Too many.")
    core.features.extend([1.0, 2.0])
    given = {
        "tenant": "default",
        "payment_id": f"p-{id_}",
        "currency": "EUR",
        "amount_minor": 1_000,
        "card": f"card-{id_}",
        "customer": "customer-1",
        "merchant": "merchant-1",
        "device": "device-1",
    } | changes
    payment.id = core.transaction_id = id_
    core.tenant = given["tenant"]
    for name, value in given.items():
        if value is not None:
            setattr(payment, name, value)
    payment.occurred_at.CopyFrom(timestamp_from_ms(at_ms))
    told.trace.decided_at.CopyFrom(timestamp_from_ms(at_ms))
    return told


def close(verdict=FRAUD, *listings, **more) -> ClosingWish:
    return ClosingWish(verdict=verdict, listings=listings, **more)


@dataclass
class CaseBench:
    """A desk of cases with its clock, and decisions that arrive."""

    database: object
    clock: Clock = field(default_factory=Clock)
    rules: CaseRules = field(default_factory=CaseRules)
    offsets: object = field(default_factory=lambda: count(1))

    @property
    def desk(self) -> CaseDesk:
        return CaseDesk(self.database, self.clock, self.rules)

    @property
    def lists(self) -> ListDesk:
        return ListDesk(self.database, self.clock)

    @property
    def admission(self) -> CaseAdmission:
        return CaseAdmission(self.database, self.clock, self.rules)

    def arrives(self, *decisions) -> int:
        """Have decisions read from the topic; how many cases are new."""
        batch = DecisionBatch(
            topic=TOPIC,
            incarnation=INCARNATION,
            ends={0: next(self.offsets)},
            decisions=[read_from(each, AMOUNT) for each in decisions],
        )
        return self.admission.admit(batch)

    def case(self, number=1):
        with reading(self.database) as work:
            return work.cases.case(number)

    def labels(self, number=1):
        with reading(self.database) as work:
            return work.case_labels.of(number)

    def audit(self, subject="") -> list[str]:
        with self.desk.read(EVE) as work:
            return [each.action for each in work.audit.entries(subject=subject)]

    def state(self):
        """All that an action could have changed."""
        with reading(self.database) as work:
            tables = ("cases", "case_labels", "case_notes", "list_entries", "outbox")
            rows = [
                work.connection.exec_driver_sql(
                    f"SELECT count(*) FROM {each}"  # noqa: S608 - names of ours
                ).scalar_one()
                for each in tables
            ]
            return rows, [each.hash for each in work.audit.entries()]
