"""Managed lists in the control plane, on every database: what people do with them."""

from __future__ import annotations

import random

import pytest
from control_parts import ANN, BOB, EVE, FAY, ControlBench, text
from token_list_parts import NOON_MS, WHO, following, put

from scoring.control.domain.people import By
from scoring.core.release.list_release import FOREVER_MS
from scoring.errors import (
    ChangedMeanwhile,
    Denied,
    NotFound,
    NotPossible,
)


@pytest.fixture
def bench(control_database, tmp_path):
    with following(control_database, tmp_path / "lists") as bench:
        yield bench


def test_a_token_is_listed_in_the_data_plane_until_its_instant(bench):
    put(bench, "c1", "2026-03-01T13:00:00+01:00")
    put(bench, "c2")
    assert bench.until("stolen", "c1") == NOON_MS
    assert bench.until("stolen", "c2") == FOREVER_MS
    assert bench.keeper.current.revision == bench.info().revision
    with bench.desk.read(EVE) as work:
        entry = work.lists.entry("stolen", "c1")
    assert (entry.author, entry.source, entry.until_ms) == ("fay", "by hand", NOON_MS)
    assert bench.audit() == ["list.create", "list.put", "list.put"]


def test_a_token_taken_off_is_off_everywhere(bench):
    put(bench, "c1")
    assert bench.until("stolen", "c1") == FOREVER_MS
    assert bench.desk.take_off(WHO, "stolen", "c1").changed
    assert bench.until("stolen", "c1") == 0
    assert bench.info().count == 0


def test_what_is_so_already_is_neither_a_revision_nor_an_entry_of_the_audit(bench):
    put(bench, "c1")
    before = (bench.info(), bench.audit())
    assert not put(bench, "c1").changed
    assert not bench.desk.take_off(WHO, "stolen", "c9").changed
    assert (bench.info(), bench.audit()) == before


def test_whoever_read_an_older_revision_is_told_what_changed_since(bench):
    read = bench.info().revision
    put(bench, "c1")
    with pytest.raises(ChangedMeanwhile, match="is at revision") as told:
        put(bench, "c2", revision=read)
    assert told.value.changes == (f"revision {read + 1}: 'c1' put on, by fay",)
    assert put(bench, "c2", revision=read + 1).changed


def test_only_who_may_change_lists_does(bench):
    with pytest.raises(Denied, match="may not change lists"):
        bench.desk.take_off(By(EVE), "stolen", "c1")
    with pytest.raises(Denied):
        bench.desk.create(By(EVE), "more", kind="plain", field="device")


def test_many_changes_make_a_new_base_and_end_the_changes_that_it_holds(
    bench, monkeypatch
):
    monkeypatch.setattr("scoring.control.desks.list_records.CHANGED_MAX", 5)
    for n in range(14):
        put(bench, f"c{n}")
    bench.desk.take_off(WHO, "stolen", "c0")
    with bench.desk.read(EVE) as work:
        records = {
            each.key: each.value for each in work.outbox.unpublished(count_max=1_000)
        }
    kept = sorted(key for key, value in records.items() if value is not None)
    assert len([key for key in kept if "/change/" in key]) == bench.info().changed
    assert len([key for key in kept if "/chunk/" in key]) == 1
    assert [bench.until("stolen", f"c{n}") for n in range(14)] == [0] + [
        FOREVER_MS
    ] * 13
    assert bench.keeper.current.lists["stolen"].count == 13


def test_a_list_that_is_deleted_is_empty_in_the_data_plane_and_may_begin_anew(bench):
    put(bench, "c1")
    bench.desk.delete(By(FAY, "not used any more"), "stolen")
    assert bench.until("stolen", "c1") == 0
    with pytest.raises(NotFound, match="no list 'stolen'"):
        put(bench, "c2")
    bench.desk.create(WHO, "stolen", kind="plain", field="device")
    put(bench, "c2")
    assert (bench.until("stolen", "c1"), bench.until("stolen", "c2")) == (0, FOREVER_MS)


def test_a_list_that_a_live_policy_names_is_not_deleted(bench):
    bench.desk.create(WHO, "blocked", kind="block", field="card")
    ControlBench(bench.database).released(1)
    with pytest.raises(NotPossible, match="release one without it first"):
        bench.desk.delete(By(FAY, "a try"), "blocked")
    with pytest.raises(Denied):
        bench.desk.delete(By(EVE, "a try"), "stolen")


def test_a_list_that_a_rollback_would_need_is_not_deleted(bench):
    bench.desk.create(WHO, "blocked", kind="block", field="card")
    policies = ControlBench(bench.database)
    policies.released(1)
    needless = text(2).replace("blocked:", "other:")
    drafted = policies.desk.draft(By(ANN), needless).policy
    proposal = policies.desk.propose(By(ANN), drafted.number).proposal
    policies.desk.approve(By(BOB, "no backtest"), proposal.number, drafted.version)
    policies.desk.release(By(BOB), drafted.number)
    with pytest.raises(NotPossible, match="what a rollback returns to"):
        bench.desk.delete(By(FAY, "a try"), "blocked")
    policies.desk.rollback(By(BOB, "it was needed"))


def test_it_is_not_however_many_drafts_came_after_that_policy(bench):
    bench.desk.create(WHO, "blocked", kind="block", field="card")
    policies = ControlBench(bench.database)
    policies.released(1)
    for n in range(2, 103):
        policies.desk.draft(By(ANN), text(n))
    with pytest.raises(NotPossible, match="release one without it first"):
        bench.desk.delete(By(FAY, "a try"), "blocked")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"name": "Stolen"}, "name: 'Stolen' must be a small letter"),
        ({"kind": "black"}, "kind: no kind 'black'; known: block, allow, plain"),
        ({"field": "amount_minor"}, "field: 'amount_minor': no list can be of it"),
        ({"about": "x" * 501}, "about: at most 500"),
    ],
)
def test_a_list_that_cannot_be_is_refused_with_its_field(bench, wish, told):
    good = {"name": "more", "kind": "plain", "field": "attributes.coupon"}
    with pytest.raises(Exception, match=told):
        bench.desk.create(WHO, **(good | wish))
    bench.desk.create(WHO, **good)


def test_random_work_is_a_dict_in_the_data_plane_at_every_moment(bench, monkeypatch):
    """Puts, take-offs, imports, undos and expiries, through the topic's own records."""
    monkeypatch.setattr("scoring.control.desks.list_records.CHANGED_MAX", 12)
    chance = random.Random(7)
    model: dict[str, int] = {}
    undoable: list[tuple[int, dict[str, int]]] = []
    ends = {"": FOREVER_MS, "2026-03-01T12:00:00Z": NOON_MS}
    for _ in range(60):
        token, expires = f"c{chance.randrange(15)}", chance.choice(list(ends))
        match chance.randrange(4):
            case 0:
                put(bench, token, expires)
                model[token] = ends[expires]
                undoable.clear()
            case 1:
                bench.desk.take_off(WHO, "stolen", token)
                model.pop(token, None)
                undoable.clear()
            case 2:
                rows = {
                    f"c{chance.randrange(15)}": chance.choice(list(ends))
                    for _ in range(6)
                }
                text = "token,expires\n" + "".join(
                    f"{t},{e}\n" for t, e in rows.items()
                )
                replaces = chance.random() < 0.5
                undoable.append((0, dict(model)))
                done = bench.imported(text, replaces=replaces)
                undoable[-1] = (done.number, undoable[-1][1])
                model = ({} if replaces else model) | {
                    t: ends[e] for t, e in rows.items()
                }
            case 3 if undoable:
                number, model = undoable.pop()
                bench.desk.undo(WHO, "stolen", number)
        held = bench.follow().current.lists["stolen"]
        for n in range(15):
            until = held.get(f"c{n}", 0)
            assert until == model.get(f"c{n}", 0)
        assert held.count == bench.info().count == len(model)


def test_entries_are_found_by_how_their_tokens_begin(bench):
    for token in ("tok_1", "tok_5a", "tok_5f", "Tok_5", "tok%5", "tok_6", "tok"):
        put(bench, token)
    with bench.desk.read(EVE) as work:
        for prefix, found in (
            ("tok_5", ["tok_5a", "tok_5f"]),
            ("tok%", ["tok%5"]),
            ("T", ["Tok_5"]),
            ("x", []),
            ("", ["Tok_5", "tok", "tok%5"]),
        ):
            told = work.lists.entries("stolen", after="", count_max=3, prefix=prefix)
            assert [each.token for each in told] == found
        told = work.lists.entries("stolen", after="tok_5a", count_max=9, prefix="tok_5")
        assert [each.token for each in told] == ["tok_5f"]
