"""Whatever people do with a case, in whatever order: it has one holder and one end."""

from __future__ import annotations

from dataclasses import replace

from control_parts import person
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scoring.control.domain.cases import (
    CaseState,
    CaseVerdict,
    Closing,
    ClosingWish,
    DecidedPayment,
    opened,
)
from scoring.control.domain.people import By
from scoring.errors import NotPossible

START_MS = 1_700_000_000_000
LEASE_MS = 1_000
PEOPLE = st.sampled_from(
    [person("fay", "analyst"), person("gus", "analyst"), person("dan", "admin")]
)
WISHES = st.builds(ClosingWish, verdict=st.sampled_from(CaseVerdict), why=st.just(""))


def decided(**changes):
    return replace(
        DecidedPayment(
            tenant="default",
            transaction_id="t1",
            outcome="review",
            provisional=True,
            decided_at_ms=START_MS,
            occurred_at_ms=START_MS,
            card="c1",
        ),
        **changes,
    )


class CaseLife(RuleBasedStateMachine):
    """A case beside a model: who took it until when, and what it was closed as."""

    def __init__(self):
        super().__init__()
        self.now_ms = START_MS
        self.case = opened(1, decided(), at_ms=START_MS, due_ms=LEASE_MS)
        self.held = ("", START_MS)  # by whom, until when
        self.ended = None
        self.labels = []

    @property
    def holder(self):
        name, until_ms = self.held
        return name if until_ms > self.now_ms and self.ended is None else ""

    def free_for(self, who):
        return self.holder in {"", who.name} or "admin" in who.roles

    def tried(self, possible, act):
        """Do it; refused exactly where the model says so, and then nothing changed."""
        before = self.case
        try:
            self.case = act()
        except NotPossible:
            assert not possible
            assert self.case is before
            return False
        assert possible
        assert self.case.revision in {before.revision, before.revision + 1}
        return True

    @rule(ms=st.integers(1, 2 * LEASE_MS))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(who=PEOPLE, to=PEOPLE)
    def assigned(self, who, to):
        possible = self.ended is None and self.free_for(who)
        doing = By(who).at(self.now_ms)
        if self.tried(possible, lambda: self.case.assigned(to.name, doing, LEASE_MS)):
            self.held = (to.name, self.now_ms + LEASE_MS)

    @rule(who=PEOPLE)
    def released(self, who):
        possible = self.ended is None and self.free_for(who)
        if self.tried(possible, lambda: self.case.released(By(who).at(self.now_ms))):
            self.held = ("", self.now_ms)

    @rule(who=PEOPLE, wish=WISHES)
    def closed(self, who, wish):
        """As the desk closes: a repeat is answered, and is no other end."""
        if self.case.is_repeated(wish, who):
            assert self.ended == (who.name, wish)
            return
        possible = self.ended is None and self.holder in {"", who.name}
        doing = By(who).at(self.now_ms)

        def act():
            case = self.case.to_be_closed(doing)
            says = wish.verdict.label(case.labelled) is not None
            version = case.next_label(wish) if says else 0
            end = Closing(
                wish=wish, by=who.name, at_ms=self.now_ms, label_version=version
            )
            return case.closed(end)

        if self.tried(possible, act):
            self.ended = (who.name, wish)
            if self.case.closing.label_version:
                self.labels.append(self.case.closing.label_version)

    @rule()
    def reopened(self):
        if self.tried(self.ended is not None, self.case.reopened):
            self.ended, self.held = None, ("", self.now_ms)

    @rule(final=st.booleans(), outcome=st.sampled_from(["review", "approve"]))
    def decided_again(self, final, outcome):
        before = self.case
        told = decided(provisional=not final, outcome=outcome)
        self.case = before.decided_again(told)
        replaces = self.ended is None and before.decided.provisional and final
        assert (self.case is not before) == replaces

    @precondition(lambda self: self.ended is not None)
    @rule()
    def forgotten(self):
        gone = self.case.forgotten()
        assert "c1" not in repr(gone)
        assert gone.closing.wish == self.case.closing.wish

    @invariant()
    def it_is_as_the_model_says(self):
        at_ms = self.now_ms
        assert self.case.holder(at_ms) == self.holder
        state = self.case.state(at_ms)
        assert (state is CaseState.CLOSED) == (self.ended is not None)
        assert (state is CaseState.ASSIGNED) == bool(self.holder)
        assert self.case.is_overdue(at_ms) == (
            self.ended is None and at_ms > START_MS + LEASE_MS
        )
        # One label of a version, each above the one before.
        assert self.labels == sorted(set(self.labels))


TestCaseLife = CaseLife.TestCase
TestCaseLife.settings = settings(deadline=None)
