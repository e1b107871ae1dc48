"""The lease: one holder at a time, whatever is killed, without comparing clocks."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.control.database.relaying import LeaseRow
from scoring.control.lease import Lease
from scoring.errors import DatabaseUnavailable

TTL_S = 5.0


@dataclass
class KeptLease:
    row: LeaseRow | None = None
    writes: int = 0
    down: bool = False
    waits: Callable[[], None] = lambda: None

    def read(self):
        if self.down:
            raise DatabaseUnavailable("the database does not answer")
        return self.row

    def replace(self, seen, new, clock):
        self.waits()
        if seen != self.row:
            return None
        self.row = new
        self.writes += 1
        return clock()


@dataclass
class MovedClock:
    now: float = 100.0

    def __call__(self):
        return self.now


@dataclass
class TwoCopies:
    """Two copies with clocks of their own, which started at other times."""

    rows: KeptLease = field(default_factory=KeptLease)
    clocks: list = field(default_factory=lambda: [MovedClock(7.0), MovedClock(9_000.0)])

    def __post_init__(self):
        self.leases = [
            Lease(self.rows, name, clock, TTL_S)
            for name, clock in zip("ab", self.clocks, strict=True)
        ]

    def passes(self, seconds):
        for clock in self.clocks:
            clock.now += seconds


def test_the_first_to_ask_has_it_and_the_other_waits():
    copies = TwoCopies()
    a, b = copies.leases
    assert a.hold()
    assert not b.hold()
    assert (a.held, b.held) == (True, False)


def test_it_is_renewed_after_a_third_of_its_time_and_not_before():
    copies = TwoCopies()
    a, _ = copies.leases
    a.hold()
    copies.passes(TTL_S / 3 - 0.01)
    assert a.hold()
    assert copies.rows.writes == 1
    copies.passes(0.02)
    assert a.hold()
    assert copies.rows.writes == 2


def test_who_was_killed_loses_it_within_its_time_to_live():
    copies = TwoCopies()
    a, b = copies.leases
    a.hold()
    assert not b.hold()  # it begins to watch
    copies.passes(TTL_S - 0.1)
    assert not b.hold()
    copies.passes(0.2)
    assert b.hold()


def test_who_cannot_renew_lets_go_before_another_may_take_it():
    copies = TwoCopies()
    a, b = copies.leases
    a.hold()
    b.hold()
    copies.passes(TTL_S * 2 / 3 + 0.01)
    assert not a.held
    assert not b.hold()


def test_who_ends_hands_it_over_at_once():
    copies = TwoCopies()
    a, b = copies.leases
    a.hold()
    assert not b.hold()
    a.let_go()
    assert b.hold()
    assert not a.hold()


def test_who_waited_for_another_writer_has_it_from_when_it_was_written():
    copies = TwoCopies()
    a, b = copies.leases
    a.hold()
    copies.passes(TTL_S / 3)
    copies.rows.waits = lambda: copies.passes(TTL_S * 2)
    assert a.hold()
    assert a.held
    assert not b.hold()


def test_an_outage_of_the_database_takes_it_from_nobody():
    copies = TwoCopies()
    a, b = copies.leases
    a.hold()
    assert not b.hold()
    copies.rows.down = True
    copies.passes(TTL_S * 2)
    with suppress(DatabaseUnavailable):
        b.hold()
    copies.rows.down = False
    assert not b.hold()
    assert a.hold()


@pytest.mark.parametrize("loser", [0, 1])
def test_who_comes_second_in_one_moment_does_not_have_it(loser):
    copies = TwoCopies()
    late, early = copies.leases[loser], copies.leases[1 - loser]
    read = copies.rows.read

    def meanwhile():
        row = read()
        copies.rows.read = read
        assert early.hold()
        return row

    copies.rows.read = meanwhile
    assert not late.hold()
    assert not late.held


STEPS = st.lists(
    st.tuples(st.sampled_from(["hold", "let_go", "pass"]), st.integers(0, 1)),
    max_size=60,
)


@given(STEPS, st.lists(st.floats(0.1, 4.0), min_size=60, max_size=60))
def test_never_do_two_copies_hold_it(steps, spans):
    copies = TwoCopies()
    for (what, which), span in zip(steps, spans, strict=False):
        if what == "pass":
            copies.passes(span)
        else:
            getattr(copies.leases[which], what)()
        assert sum(lease.held for lease in copies.leases) <= 1
