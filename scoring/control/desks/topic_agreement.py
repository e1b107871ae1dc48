"""Brings the database to agree with the topic `control`, before anything is relayed.

A database that was restored from a backup knows less than the topic holds; a topic that
was lost or made again holds less than the database has published. Readers pass over
what has a sequence or a revision that they are past, so neither may go on as it is.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from scoring.control.database.database import Database
from scoring.control.database.outbox import OutboxRecord
from scoring.control.database.unit_of_work import UnitOfWork, writing
from scoring.control.desks.list_records import revise
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.people import Doing, Person
from scoring.control.domain.topic_held import TopicHeld
from scoring.core.release.keys import key_of_change, key_of_chunk
from scoring.core.release.policy_release import POLICY_KEY, PolicyRelease
from scoring.wire.control_json import release_from_json, release_to_json

log = logging.getLogger(__name__)
ITSELF = Person("the control plane", frozenset(), "relay")


def agree(database: Database, held: TopicHeld, at_ms: int) -> None:
    """Lift what the database counts above the topic, and publish what that lacks.

    In one transaction, audited and logged; nothing where they agree. The release in
    force stays what the topic says: only a person puts another in its place. The
    lists become what the database has. Blocks; raises `DatabaseUnavailable`.
    """
    with writing(database) as work:
        if _was_restored(work, held):
            _restored(work, held, Doing(ITSELF, at_ms, "restored from a backup"))
        elif held.sequence < work.outbox.last_published:
            _lost(work, held, Doing(ITSELF, at_ms, "the topic lost what it held"))


def _was_restored(work: UnitOfWork, held: TopicHeld) -> bool:
    """Whether the topic holds what this database never wrote."""
    return (
        held.sequence > work.outbox.last
        or held.list_revision > work.revisions.last
        or not _knows_release(work, held)
        or any(
            held.holds_another(each.sequence, each.key, each.value)
            for each in work.outbox.waiting_until(held.sequence)
        )
    )


def _knows_release(work: UnitOfWork, held: TopicHeld) -> bool:
    newest = held.release
    if newest is None:
        return True
    record = work.outbox.at(newest.sequence)
    if record is not None and (record.key, record.value) == (POLICY_KEY, newest.value):
        return True
    number = newest.release.release
    kept = next(iter(work.policies.releases(below=number + 1, count_max=1)), None)
    return (
        kept is not None
        and kept.number == number
        and kept.audit == newest.release.audit
    )


def _restored(work: UnitOfWork, held: TopicHeld, doing: Doing) -> None:
    before, renumbered = _counted(work), dict[int, int]()
    unknown = None
    work.outbox.lift(held.sequence)
    work.revisions.lift(held.list_revision)
    if held.release is not None and not _knows_release(work, held):
        unknown = held.release.release
        renumbered = _renumber(work, unknown.release)
        newest = OutboxRecord(held.release.sequence, POLICY_KEY, held.release.value)
        work.outbox.note(newest, at_ms=doing.at_ms)
    lists = _publish_lists(work, held, doing)
    after = {
        **_counted(work),
        "release_of_the_topic": unknown and unknown.release,
        "policy_of_the_topic": unknown and unknown.policy,
        "releases_renumbered": {str(was): now for was, now in renumbered.items()},
        "lists_published": lists,
        "lists_unknown": held.others(lists),
    }
    change = Change(
        action="control.restored", subject="topic control", before=before, after=after
    )
    work.audit.record(change, doing)
    log.critical(
        "this database is older than the topic `control` (restored from a backup?): "
        "%s; what to do: docs/control-plane.md, Restoring from a backup",
        "; ".join(_said(unknown, renumbered, lists, held.others(lists))),
    )


def _said(
    unknown: PolicyRelease | None,
    renumbered: dict[int, int],
    lists: list[str],
    others: list[str],
) -> list[str]:
    said = ["sequences continue above the topic's"]
    if unknown is not None:
        said.append(
            f"release {unknown.release} (policy {unknown.policy}, by {unknown.by}) "
            "decides and is not known here"
        )
    if renumbered:
        now = ", ".join(f"{was} is {now} now" for was, now in renumbered.items())
        said.append(f"releases that waited follow it: {now}")
    if lists:
        said.append(f"these lists become as they are here: {', '.join(lists)}")
    if others:
        said.append(f"these lists stay and are not known here: {', '.join(others)}")
    return said


def _lost(work: UnitOfWork, held: TopicHeld, doing: Doing) -> None:
    before = _counted(work)
    # Until something is in the topic again, whoever begins finds it lost.
    mark = OutboxRecord(work.outbox.last_published, "lost", None)
    work.outbox.withdraw()
    # A topic that was made again cannot say how far its readers have come, and the
    # database may be older than they are. The clock is ahead of both: nobody writes a
    # thousand records a second for ever.
    work.outbox.lift(doing.at_ms)
    work.revisions.lift(doing.at_ms)
    work.outbox.note(mark, at_ms=doing.at_ms)
    lists = _publish_lists(work, held, doing)
    change = Change(
        action="control.topic_lost",
        subject="topic control",
        before={**before, "sequence_of_the_topic": held.sequence},
        after={**_counted(work), "lists_published": lists},
    )
    work.audit.record(change, doing)
    log.critical(
        "the topic `control` has lost what it held (it ends at sequence %d): every "
        "text, the newest release and every list are published again",
        held.sequence,
    )


def _counted(work: UnitOfWork) -> dict[str, int]:
    kept = work.policies.in_force()
    return {
        "release": 0 if kept is None else kept.number,
        "sequence": work.outbox.last,
        "list_revision": work.revisions.last,
    }


def _renumber(work: UnitOfWork, above: int) -> dict[int, int]:
    """Number releases that nobody has read yet above one; what became of which."""
    waiting = [
        (record, release_from_json(record.value or b""))
        for record in work.outbox.waiting_until(work.outbox.last)
        if record.key == POLICY_KEY
    ]
    if not waiting or waiting[0][1].release > above:
        return {}
    by = above + 1 - waiting[0][1].release
    renumbered = {}
    for record, release in reversed(waiting):  # the newest first: none meets another
        number = release.release + by
        again = release_to_json(replace(release, release=number))
        work.outbox.replace(replace(record, value=again))
        work.policies.renumber(release.release, number)
        renumbered[release.release] = number
    return renumbered


def _publish_lists(work: UnitOfWork, held: TopicHeld, doing: Doing) -> list[str]:
    """Every list as the database has it, and the end of what else the topic has."""
    names = []
    for info in work.lists.all():
        known = {key_of_chunk(info.name, each) for each in info.chunks} | {
            key_of_change(info.name, each)
            for each in work.lists.sent_changes(info.name)
        }
        revise(work, info, doing.why, None, doing)
        if (has := held.lists.get(info.name)) is not None:
            gone = sorted(has.parts - known)
            work.outbox.add_all([(key, None) for key in gone])
        names.append(info.name)
    return names
