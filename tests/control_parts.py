"""People, texts and a desk of the control plane, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import writing
from scoring.control.desks.backtest_desk import BacktestDesk
from scoring.control.desks.backtest_figures import keep_figures
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.desks.policy_steps import PolicyAnswer
from scoring.control.desks.policy_texts import PolicyTexts
from scoring.control.domain.approvals import Act
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import By, Person, PersonRole
from scoring.control.domain.policy_life import PolicyState
from scoring.core.features.catalogue import default_catalogue
from scoring.core.release.policy_release import PolicyText

TEXT = """\
version: 1
name: of a test
thresholds:
  default: {challenge: 0.05, review: 0.20, decline: %s}
lists:
  blocked:
    field: card
    then: decline
    reason_code: CARD_BLOCKED
default: {outcome: review, reason_code: NO_SCORE}
reasons:
  CARD_BLOCKED: The card is blocked here.
  NO_SCORE: The payment could not be scored.
  NO_RISK_FOUND: Nothing speaks against the payment.
"""


def text(n: int) -> str:
    """A good text; another `n` (below 700) is another version."""
    return TEXT % f"0.{300 + n}"


def person(name: str, *roles: str) -> Person:
    return Person(name, frozenset(PersonRole(role) for role in roles), "of a test")


ANN = person("ann", "author")
BOB = person("bob", "approver")
CAT = person("cat", "author", "approver")
DAN = person("dan", "admin")
EVE = person("eve", "viewer")
FAY = person("fay", "analyst")


@dataclass
class Clock:
    """A clock that a test moves."""

    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def days(self, count: float) -> None:
        self.now_ms += round(count * 86_400_000)


TEXTS = PolicyTexts(default_catalogue())


SETTLED = text(600)  # the settings' version, in force before the first release


def settled() -> str:
    """Its hash."""
    return TEXTS.checked(SETTLED).version


def with_archive(database: Database, clock: Clock) -> BacktestDesk:
    """A desk of backtests whose queue a test works off itself."""
    return BacktestDesk(
        database, TEXTS, clock, settled=lambda: PolicyText("", SETTLED), archived=True
    )


def without_archive(database: Database, clock: Clock) -> BacktestDesk:
    """A desk of backtests that has nothing to judge."""
    return BacktestDesk(
        database, TEXTS, clock, settled=lambda: PolicyText("", ""), archived=False
    )


@dataclass
class ControlBench:
    """A desk with its database and clock, and what most tests do first."""

    database: Database
    rules: ControlRules = field(default_factory=ControlRules)
    clock: Clock = field(default_factory=Clock)
    texts: PolicyTexts = TEXTS

    @property
    def desk(self) -> PolicyDesk:
        return PolicyDesk(
            self.database, self.texts, self.rules, self.clock, settled=settled
        )

    def proposed(self, n: int, act: Act = Act.RELEASE, share=None) -> PolicyAnswer:
        """Ann's draft, proposed by her."""
        drafted = self.desk.draft(By(ANN), text(n))
        return self.desk.propose(By(ANN), drafted.policy.number, act, share)

    def approved(self, n: int, act: Act = Act.RELEASE, share=None) -> PolicyAnswer:
        """The same, approved by Bob."""
        proposal = self.proposed(n, act, share).proposal
        return self.desk.approve(
            By(BOB, "no backtest yet"), proposal.number, proposal.version
        )

    def released(self, n: int) -> PolicyAnswer:
        """The same, in force."""
        number = self.approved(n).policy.number
        return self.desk.release(By(BOB, f"text {n}"), number)

    def state(self, number: int) -> PolicyState:
        """What a version is now."""
        with self.desk.read(EVE) as work:
            return work.policies.policy(number).state

    def ran(self, figures: Backtest) -> Backtest:
        """A backtest as the control plane keeps one that it ran itself."""
        with writing(self.database) as work:
            number, doing = work.backtest_jobs.next_number(), By(FAY).at(self.clock())
            kept = replace(figures, number=number, by="fay", brought=False)
            keep_figures(work, kept, doing)
            return kept

    def audit(self):
        """Every entry."""
        with self.desk.read(EVE) as work:
            return list(work.audit.entries())

    def outbox(self):
        """Every record that waits."""
        with self.desk.read(EVE) as work:
            return work.outbox.unpublished(count_max=1_000)


def backtest(
    version: str,
    against: str,
    *,
    points: float = 0.0,
    amount_points: float = 0.0,
    days: int = 90,
) -> Backtest:
    """One of 100,000 accepted payments of 10.00 each."""
    return Backtest(
        number=0,
        version=version,
        against=against,
        accepted_count=100_000,
        accepted_amount_minor=100_000_000,
        declined_count=round(points * 1_000),
        declined_amount_minor=round(amount_points * 1_000_000),
        by="",
        at_ms=0,
        figures={
            "of": "a test",
            "span": {"tenant": None, "from_ms": 0, "until_ms": days * 86_400_000},
        },
    )
