"""What the rules say, written a second time: which actions succeed, and what then runs.

Nothing of `scoring.control` is used here. A version is a row of plain values.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace

WRITES = {"author", "admin"}
APPROVES = {"approver", "admin"}
ON_CALL = {"author", "approver", "admin"}
LAPSES_MS = 7 * 86_400_000


class Refused(Exception):
    """The rules do not allow it."""


@dataclass
class Version:
    hash: str
    state: str
    writers: set
    revision: int = 1
    before: int | None = None
    ruled: bool = False


@dataclass
class Ask:
    version: int
    hash: str
    act: str
    share: float | None
    stage: str = "open"
    lapses: int = 0


@dataclass
class Model:
    versions: dict[int, Version] = field(default_factory=dict)
    asks: dict[int, Ask] = field(default_factory=dict)
    policy: int | None = None
    candidate: int | None = None
    share: float | None = None
    shadows: list[int] = field(default_factory=list)
    releases: int = 0

    def copy(self):
        """Of its own: a version or an ask is changed in place, what it holds is not."""
        return replace(
            self,
            versions={n: copy(each) for n, each in self.versions.items()},
            asks={n: copy(each) for n, each in self.asks.items()},
        )

    # Writing
    def draft(self, who, roles, *, means, based_on=None):
        need(roles & WRITES)
        writers = {who}
        if based_on is not None:
            base = self._version(based_on)
            writers |= set() if base.ruled else base.writers
        self.versions[len(self.versions) + 1] = Version(means, "draft", writers)

    def edit(self, who, roles, *, number, means, revision):
        need(roles & WRITES)
        version = self._version(number)
        need(revision == version.revision)
        if version.state != "draft":
            self.draft(who, roles, means=means, based_on=number)
            return
        version.hash, version.revision = means, revision + 1
        version.writers = version.writers | {who}

    def propose(self, who, roles, *, number, act, share):
        version = self._version(number)
        need(roles & WRITES)
        need(version.state not in {"rejected", "retired"})
        self._ask(number, act, share)

    def _ask(self, number, act, share):
        version = self.versions[number]
        if version.state in {"draft", "approved"}:
            version.state = "proposed"
        ask = Ask(number, version.hash, act, share)
        self.asks[len(self.asks) + 1] = ask

    # Four eyes
    def approve(self, who, roles, *, ask, means, why, at_once, now):
        asked = self._asked(ask)
        need(asked.hash == means)
        need(roles & APPROVES)
        need(asked.stage == "open")
        wrote = {
            each
            for version in self.versions.values()
            if version.hash == means
            for each in version.writers
        }
        need(who not in wrote)
        need(why or asked.act == "shadow")  # no backtest is kept here
        asked.stage, asked.lapses = "approved", now + LAPSES_MS
        version = self.versions[asked.version]
        if version.state == "proposed":
            version.state = "approved"
        if at_once:
            self.run(
                who,
                roles,
                number=asked.version,
                act=asked.act,
                share=asked.share,
                now=now,
            )

    def reject(self, who, roles, *, ask, why):
        asked = self._asked(ask)
        version = self.versions[asked.version]
        need(who in version.writers or roles & APPROVES)
        need(asked.stage == "open" and why)
        if version.state == "proposed":
            version.state = "rejected"
            self._end(asked.version)
        asked.stage = "rejected"

    # What runs
    def run(self, who, roles, *, number, act, share, now):
        version = self._version(number)
        need(roles & ON_CALL)
        smaller = act == "candidate" and number == self.candidate and share < self.share
        if not smaller:
            fitting = [
                ask
                for ask in self.asks.values()
                if (ask.version, ask.act, ask.share) == (number, act, share)
                and ask.hash == version.hash
                and ask.stage == "approved"
                and now < ask.lapses
            ]
            need(fitting)
            # The newest is used first.
            fitting[-1].stage = "used"
        need(number != self.policy)
        if act == "release":
            version.before = self.policy
            self._rule(number)
            return
        need(self.policy is not None)
        others = [each for each in self.shadows if each != number]
        arm = [self.candidate] if self.candidate not in {None, number} else []
        if act == "candidate":
            self._distinct(number, [self.policy, *others])
            self._ended(arm)
            self.candidate, self.share, self.shadows = number, share, others
        else:
            need(number not in self.shadows and len(self.shadows) < 3)
            self._distinct(number, [self.policy, *arm, *self.shadows])
            if self.candidate == number:
                self.candidate = self.share = None
            self.shadows = [*self.shadows, number]
        self._released()

    def rollback(self, who, roles, *, why, to=None):
        need(roles & ON_CALL and why and self.policy is not None)
        before = self.versions[self.policy].before
        target = before if to is None else to
        need(target is not None)
        content = self._version(target)
        need(content.ruled)
        number = len(self.versions) + 1
        self.versions[number] = Version(
            content.hash, "proposed", {who}, before=content.before
        )
        if target == before:
            self._rule(number)
        else:
            need(roles & WRITES)
            self._ask(number, "release", None)

    def retire(self, who, roles, *, number, why):
        version = self._version(number)
        runs = number in {self.policy, self.candidate, *self.shadows}
        need(roles & (ON_CALL if runs else WRITES) and why and number != self.policy)
        if runs:
            if number == self.candidate:
                self.candidate = self.share = None
            self.shadows = [each for each in self.shadows if each != number]
            self._ended([number])
            self._released()
            return
        need(version.state != "retired")
        version.state = "retired"
        self._end(number)

    def rearm(self, who, roles, *, why):
        need(roles & ON_CALL and why and self.policy is not None)
        self._released()

    def _rule(self, number):
        if self.policy is not None:
            self.versions[self.policy].state = "retired"
            self._end(self.policy)
        ruling = self.versions[number].hash
        gone = [each for each in self.shadows if self.versions[each].hash == ruling]
        arm = [] if self.candidate is None else [self.candidate]
        self._ended([*gone, *arm])
        self.shadows = [each for each in self.shadows if each not in gone]
        self.policy, self.candidate, self.share = number, None, None
        self.versions[number].ruled = True
        self._released()

    def _ended(self, numbers):
        for number in numbers:
            self.versions[number].state = "approved"

    def _released(self):
        self.releases += 1
        for number in self.shadows:
            self.versions[number].state = "shadow"
        for number in (self.candidate, self.policy):
            if number is not None:
                self.versions[number].state = "live"

    def _distinct(self, number, others):
        hashes = {self.versions[each].hash for each in others}
        need(self.versions[number].hash not in hashes)

    def _end(self, number):
        for ask in self.asks.values():
            if ask.version == number and ask.stage in {"open", "approved"}:
                ask.stage = "void"

    def _version(self, number):
        need(number in self.versions)
        return self.versions[number]

    def _asked(self, number):
        need(number in self.asks)
        return self.asks[number]


def need(allowed):
    if not allowed:
        raise Refused
