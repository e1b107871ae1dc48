"""An ordered replay handles every entity's events in the order of event time."""

import random

from scoring.core.transaction.label import Label
from scoring.core.transaction.transaction import Transaction
from scoring.replay.schedule import (
    FollowUpsDue,
    ScheduleStep,
    ordered_steps,
    plain_steps,
)
from scoring.tables.admission import Row


def entities(transaction):
    return [("customer", transaction.customer), ("terminal", transaction.terminal)]


def terminals(transaction):
    return [("terminal", transaction.terminal)]


def terminals_told(follow_up):
    return terminals(follow_up.transaction)


def world(count, *, customers=20, terminals=15, seed=1):
    chance = random.Random(seed)
    at_ms = 1_522_540_800_000
    rows = []
    for number in range(count):
        at_ms += chance.randrange(0, 40)
        transaction = Transaction(
            "default",
            f"t{number}",
            occurred_at_ms=at_ms,
            customer=f"c{chance.randrange(customers)}",
            terminal=f"s{chance.randrange(terminals)}",
        )
        fraud = chance.choice([True, False, None])
        rows.append(Row(transaction, fraud, at_ms + chance.randrange(1, 400)))
    return rows


def one_by_one(rows):
    """The order that semantics demand, by brute force: (entity, kind, id)."""
    events = [
        (r.transaction.occurred_at_ms, 1, n, "row", r) for n, r in enumerate(rows)
    ]
    labelled = [r for r in rows if r.fraud is not None]
    last = rows[-1].transaction.occurred_at_ms
    events += [
        (r.known_at_ms, 0, n, "label", r)
        for n, r in enumerate(labelled)
        if r.known_at_ms <= last
    ]
    return [(kind, row) for _, _, _, kind, row in sorted(events, key=lambda e: e[:3])]


def histories(events):
    """For each entity, what happened to it in which order."""
    seen = {}
    for kind, transaction in events:
        touched = entities if kind == "row" else terminals
        for entity in touched(transaction):
            seen.setdefault(entity, []).append((kind, transaction.id))
    return seen


def played(steps):
    for step in steps:
        yield from (("label", label.transaction) for label in step.follow_ups)
        yield from (("row", row.transaction) for row in step.rows)


def test_every_entity_sees_its_rows_and_labels_in_event_order():
    rows = world(5_000)
    steps = ordered_steps(rows, FollowUpsDue(), reads=entities, changes=terminals_told)
    wanted = [(kind, row.transaction) for kind, row in one_by_one(rows)]
    assert histories(played(steps)) == histories(wanted)


def test_a_label_of_the_very_instant_comes_before_the_transaction():
    first = Row(Transaction("d", "a", occurred_at_ms=1_000, terminal="s"), True, 2_000)
    second = Row(Transaction("d", "b", occurred_at_ms=2_000, terminal="s"), None, 0)
    steps = list(
        ordered_steps(
            [first, second], FollowUpsDue(), reads=entities, changes=terminals_told
        )
    )
    assert [(len(s.follow_ups), [r.transaction.id for r in s.rows]) for s in steps] == [
        (0, ["a"]),
        (1, ["b"]),
    ]


def test_events_that_share_nothing_share_a_step():
    rows = world(2_000, customers=10_000, terminals=10_000)
    steps = list(
        ordered_steps(rows, FollowUpsDue(), reads=entities, changes=terminals_told)
    )
    assert len(steps) < 8
    assert sum(len(step.rows) for step in steps) == 2_000


def test_labels_not_yet_known_at_the_end_stay_behind():
    due = FollowUpsDue()
    row = Row(Transaction("d", "a", occurred_at_ms=1, terminal="s"), True, 99)
    steps = list(ordered_steps([row], due, reads=entities, changes=terminals_told))
    assert steps == [ScheduleStep([], [row])]
    assert due.left(Label) == 1


def test_plain_steps_keep_the_order_of_rows_and_bring_labels_when_due():
    rows = world(250)
    due = FollowUpsDue()
    steps = list(plain_steps(rows, due, rows_max=100))
    assert [len(step.rows) for step in steps] == [100, 100, 50]
    assert [row for step in steps for row in step.rows] == rows
    last = rows[-1].transaction.occurred_at_ms
    known = [r for r in rows if r.fraud is not None and r.known_at_ms <= last]
    assert sum(len(step.follow_ups) for step in steps) == len(known)
    assert due.left(Label) == sum(r.fraud is not None for r in rows) - len(known)


def test_labels_sent_ahead_come_so_long_before_they_are_known():
    rows = [
        Row(Transaction("d", str(at_ms), occurred_at_ms=at_ms), True, at_ms + 300)
        for at_ms in range(0, 1_000, 100)
    ]
    due = FollowUpsDue(lead_ms=200)
    steps = list(plain_steps(rows, due, rows_max=1))
    sent = {t.id: n for n, step in enumerate(steps) for t in
            (label.transaction for label in step.follow_ups)}  # fmt: skip
    assert sent == {str(at_ms): at_ms // 100 + 1 for at_ms in range(0, 900, 100)}
