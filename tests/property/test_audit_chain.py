"""Whatever is changed in the audit is found."""

from dataclasses import fields, replace

import pytest
from control_parts import person
from hypothesis import given
from hypothesis import strategies as st

from scoring.control.domain.audit_chain import (
    PROBLEMS_MAX,
    AuditEntry,
    Change,
    Head,
    chained,
    entry_hash,
    verified,
)
from scoring.control.domain.people import Doing

CHANGES = st.builds(
    Change,
    action=st.sampled_from(["policy.draft", "policy.release", "list.add"]),
    subject=st.text(max_size=8),
    before=st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    after=st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
DOINGS = st.builds(
    Doing,
    person=st.sampled_from([person("ann"), person("bob")]),
    at_ms=st.integers(0, 2**53),
    why=st.text(max_size=8),
)
NUMBERS = {"sequence", "at_ms"}
OTHERS = [each.name for each in fields(AuditEntry) if each.name != "sequence"]


def chain(done):
    entries, head = [], Head()
    for change, doing in done:
        entries.append(chained(head, change, doing))
        head = Head(entries[-1].sequence, entries[-1].hash)
    return entries


CHAINS = st.lists(st.tuples(CHANGES, DOINGS), min_size=2, max_size=8).map(chain)


def anchor(entries):
    return {entries[-1].sequence: entries[-1].hash}


@given(CHAINS)
def test_a_chain_as_it_was_written_is_whole(entries):
    assert verified(entries) == []
    assert verified(entries, anchor(entries)) == []


@given(CHAINS, st.data())
def test_a_change_of_any_field_of_any_entry_is_found(entries, data):
    at = data.draw(st.integers(0, len(entries) - 1))
    name = data.draw(st.sampled_from(OTHERS))
    old = getattr(entries[at], name)
    new = data.draw(st.integers() if name in NUMBERS else st.text(max_size=70))
    changed = replace(entries[at], **{name: new})
    planted = [*entries[:at], changed, *entries[at + 1 :]]
    assert bool(verified(planted)) is (new != old)


@given(CHAINS, st.data())
def test_a_change_that_was_hashed_anew_is_found_by_the_entry_after_it(entries, data):
    at = data.draw(st.integers(0, len(entries) - 2))
    changed = replace(entries[at], why=entries[at].why + "!")
    changed = replace(changed, hash=entry_hash(changed))
    planted = [*entries[:at], changed, *entries[at + 1 :]]
    assert f"entry {at + 2} does not continue entry {at + 1}" in verified(planted)[0]


@given(CHAINS, st.data())
def test_a_gap_is_found_whether_the_rest_was_counted_anew_or_not(entries, data):
    at = data.draw(st.integers(0, len(entries) - 2))
    planted = [*entries[:at], *entries[at + 1 :]]
    assert "a gap" in verified(planted)[0]
    counted = [replace(each, sequence=n) for n, each in enumerate(planted, start=1)]
    assert verified(counted)


@given(CHAINS, st.data())
def test_two_entries_swapped_are_found_with_their_numbers_swapped_too_or_not(
    entries, data
):
    one = data.draw(st.integers(0, len(entries) - 2))
    other = data.draw(st.integers(one + 1, len(entries) - 1))
    planted = list(entries)
    planted[one], planted[other] = planted[other], planted[one]
    assert verified(planted)
    counted = [replace(each, sequence=n) for n, each in enumerate(planted, start=1)]
    assert verified(counted)


@given(CHAINS, st.data())
def test_an_end_cut_off_is_found_where_its_hash_is_known_from_elsewhere(entries, data):
    left = data.draw(st.integers(0, len(entries) - 1))
    assert (
        "is known from elsewhere and missing"
        in (verified(entries[:left], anchor(entries))[-1])
    )


@given(CHAINS, st.data())
def test_a_past_rewritten_to_its_end_is_found_by_a_hash_known_from_elsewhere(
    entries, data
):
    at = data.draw(st.integers(0, len(entries) - 1))
    rewritten, head = [], Head()
    for n, each in enumerate(entries):
        why = each.why + "!" if n == at else each.why
        moved = replace(each, why=why, previous_hash=head.hash)
        rewritten.append(replace(moved, hash=entry_hash(moved)))
        head = Head(each.sequence, rewritten[-1].hash)
    assert verified(rewritten) == []
    assert verified(rewritten, anchor(entries)) == [
        f"entry {len(entries)} is not the one known from elsewhere"
    ]


@pytest.mark.parametrize("action", ["policy.draft", "policy.draftx"])
def test_what_moves_from_one_field_to_the_next_is_another_entry(action):
    doing = Doing(person("ann"), 1)
    subject = "1" if action == "policy.draftx" else "x1"
    entry = chained(Head(), Change(action=action, subject=subject), doing)
    other = chained(Head(), Change(action="policy.draf", subject="tx1"), doing)
    assert entry.hash != other.hash


def test_a_past_rewritten_everywhere_is_told_in_a_bounded_answer():
    doing = Doing(person("ann"), 1)
    entries = chain([(Change(action="a", subject="b"), doing)] * 500)
    planted = [replace(each, why="!") for each in entries]
    assert len(verified(planted)) == PROBLEMS_MAX + 1
