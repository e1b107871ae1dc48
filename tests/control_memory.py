"""The desk over dictionaries: the same steps without a database, many times faster.

`tests/property/test_four_eyes.py` runs it and the real one against one model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from hashlib import sha256

from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.domain.audit_chain import Head, chained
from scoring.control.domain.policy_life import CheckedText
from scoring.errors import NotFound


class MemoryWork:
    """A unit of work over dictionaries of values that never change."""

    def __init__(self) -> None:
        self.kept, self.proposed, self.released = {}, {}, []
        self.entries, self.records = [], {}

    @property
    def policies(self):
        return self

    audit = outbox = policies

    def snapshot(self):
        parts = ("kept", "proposed", "released", "entries", "records")
        return {name: copy(getattr(self, name)) for name in parts}

    def restore(self, snapshot) -> None:
        vars(self).update(snapshot)

    # Policies
    def next_number(self):
        return len(self.kept) + 1

    def policy(self, number):
        if number not in self.kept:
            raise NotFound(f"no version {number}")
        return self.kept[number]

    def of_version(self, version):
        return [each for each in self.kept.values() if each.version == version]

    def save(self, policy):
        self.kept[policy.number] = policy

    def add_revision(self, policy, doing):
        pass

    def revision(self, number, revision):
        return None

    def next_proposal(self):
        return len(self.proposed) + 1

    def proposal(self, number):
        if number not in self.proposed:
            raise NotFound(f"no proposal {number}")
        return self.proposed[number]

    def proposals(self, *, policy):
        return [each for each in self.proposed.values() if each.policy == policy]

    def add_proposal(self, proposal):
        self.proposed[proposal.number] = proposal

    def save_proposals(self, proposals):
        self.proposed.update({each.number: each for each in proposals})

    def backtests(self, version):
        return []

    def in_force(self):
        return self.released[-1] if self.released else None

    def add_release(self, release, entry):
        self.released.append(release)

    # Audit and outbox
    def record(self, change, doing):
        last = self.entries[-1] if self.entries else Head()
        entry = chained(Head(last.sequence, last.hash), change, doing)
        self.entries.append(entry)
        return entry

    def newest(self, key):
        return None

    def holds(self, key):
        return key in self.records

    def add(self, key, value=None):
        """A version, or a record of the outbox."""
        if value is None:
            self.save(key)
        else:
            self.records[key] = value


class AnyText:
    """Takes every text; a version is its hash."""

    def checked(self, text, reasons=None):
        version = sha256(text.encode()).hexdigest()[:16]
        return CheckedText(text=text, reasons=reasons, version=version, name=text)

    def guarded(self, good):
        return ("*",)


class MemoryDesk(PolicyDesk):
    """The desk itself; only where it keeps things is another."""

    def __init__(self, rules, clock) -> None:
        super().__init__(None, AnyText(), rules, clock, settled=lambda: "settled")
        self.work = MemoryWork()

    @contextmanager
    def read(self, person) -> Iterator[MemoryWork]:
        yield self.work

    @contextmanager
    def _reading(self) -> Iterator[MemoryWork]:
        yield self.work

    @contextmanager
    def _writing(self) -> Iterator[MemoryWork]:
        before = self.work.snapshot()
        try:
            yield self.work
        except BaseException:
            self.work.restore(before)
            raise
