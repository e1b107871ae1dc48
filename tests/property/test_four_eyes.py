"""Random sequences of actions by five people, against the rules written a second time.

SCORING_FOUR_EYES_SEQUENCES=100000 runs the long form.
"""

import os
from hashlib import sha256
from random import Random

import pytest
from control_memory import AnyText, MemoryDesk
from control_parts import Clock, person
from four_eyes_model import Model, Refused

from scoring.control.database.database import Database
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.domain.approvals import Act, ProposalStage
from scoring.control.domain.audit_chain import verified
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.people import By
from scoring.errors import ScoringError

SEQUENCES = int(os.environ.get("SCORING_FOUR_EYES_SEQUENCES", "1500"))
ACTIONS = 30
# Five people, three roles; one is two.
PEOPLE = [
    person("ann", "author"),
    person("bob", "approver"),
    person("cat", "author", "approver"),
    person("dan", "admin"),
    person("eve", "author"),
]
SHARES = (0.05, 0.2)


def hash_of(text):
    return sha256(text.encode()).hexdigest()[:16]


class Play:
    """One sequence, on a desk and in the model at once."""

    def __init__(self, desk, clock, chance):
        self.desk, self.clock, self.chance = desk, clock, chance
        self.model = Model()
        self.approved_by, self.uses = {}, {}

    def step(self):
        name = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        # Mostly somebody whose role it is: a refusal for that ends many a sequence.
        fit = [each for each in PEOPLE if FITTING.get(name, "") in each.roles]
        who = self.chance.choice(fit if fit and self.chance.random() < 0.8 else PEOPLE)
        roles = {role.value for role in who.roles}
        before = self.model.copy()
        ask, act = getattr(self, name)(who, roles)
        try:
            ask()
        except Refused:
            self.model, allowed = before, False
        else:
            allowed = True
        try:
            act()
        except ScoringError as error:
            done, said = False, str(error)
        else:
            done, said = True, ""
        assert done is allowed, f"{name} by {who.name}, done {done}: {said}"

    def same(self):
        """What runs, and each version's state and authors, are as the rules say."""
        with self.desk.read(PEOPLE[0]) as work:
            kept = work.policies.in_force()
            assert (kept.number if kept else 0) == self.model.releases
            if kept:
                runs = kept.arrangement
                assert (
                    runs.policy,
                    runs.candidate,
                    runs.share,
                    list(runs.shadows),
                ) == (
                    self.model.policy,
                    self.model.candidate,
                    self.model.share,
                    self.model.shadows,
                )
            for number, version in self.model.versions.items():
                policy = work.policies.policy(number)
                assert (policy.version, policy.state.value, policy.authors) == (
                    version.hash,
                    version.state,
                    version.writers,
                )

    def proved(self):
        """Said without the model, by what was kept: four eyes were kept."""
        with self.desk.read(PEOPLE[0]) as work:
            proposals = [work.policies.proposal(n) for n in self.model.asks]
            for each in proposals:
                if each.stage in {ProposalStage.APPROVED, ProposalStage.USED}:
                    policy = work.policies.policy(each.policy)
                    assert each.decided_by not in policy.authors
                    assert each.version == policy.version
            used = [each.used_by for each in proposals if each.used_by is not None]
            assert len(used) == len(set(used))
            return len(used)

    def _number(self):
        newest = max(1, len(self.model.versions))
        return self.chance.choice([newest, self.chance.randint(1, newest)])

    def _text(self):
        return f"text {self.chance.randint(1, 20)}"

    def _why(self):
        return self.chance.choice(["because"] * 9 + [""])

    def do_draft(self, who, roles):
        text, based = self._text(), self.chance.choice([None, self._number()])
        return (
            lambda: self.model.draft(
                who.name, roles, means=hash_of(text), based_on=based
            ),
            lambda: self.desk.draft(By(who), text, based_on=based),
        )

    def do_edit(self, who, roles):
        number, text = self._number(), self._text()
        known = self.model.versions.get(number)
        revision = known.revision if known and self.chance.random() < 0.8 else 9
        return (
            lambda: self.model.edit(
                who.name, roles, number=number, means=hash_of(text), revision=revision
            ),
            lambda: self.desk.edit(By(who), number, text, revision=revision),
        )

    def do_propose(self, who, roles):
        number, (act, share) = self._number(), self._asked()
        return (
            lambda: self.model.propose(
                who.name, roles, number=number, act=act, share=share
            ),
            lambda: self.desk.propose(By(who), number, Act(act), share),
        )

    def _asked(self):
        act = self.chance.choice(["release", "release", "candidate", "shadow"])
        return act, self.chance.choice(SHARES) if act == "candidate" else None

    def _ask(self, stage):
        """An ask, mostly one at a stage."""
        fit = [n for n, ask in self.model.asks.items() if ask.stage == stage]
        if fit and self.chance.random() < 0.85:
            return self.chance.choice(fit)
        return self.chance.randint(1, max(1, len(self.model.asks)))

    def do_approve(self, who, roles):
        ask, why, at_once = self._ask("open"), self._why(), self.chance.random() < 0.3
        known = self.model.asks.get(ask)
        of_it = known.hash if known and self.chance.random() < 0.9 else hash_of("x")
        return (
            lambda: self.model.approve(
                who.name,
                roles,
                ask=ask,
                means=of_it,
                why=why,
                at_once=at_once,
                now=self.clock.now_ms,
            ),
            lambda: self.desk.approve(By(who, why), ask, of_it, at_once=at_once),
        )

    def do_reject(self, who, roles):
        ask, why = self._ask("open"), self._why()
        return (
            lambda: self.model.reject(who.name, roles, ask=ask, why=why),
            lambda: self.desk.reject(By(who, why), ask),
        )

    def do_run(self, who, roles):
        known = self.model.asks.get(self._ask("approved"))
        number, (act, share) = self._number(), self._asked()
        if known and self.chance.random() < 0.8:
            number, act, share = known.version, known.act, known.share
        desk = {
            "release": lambda: self.desk.release(By(who), number),
            "candidate": lambda: self.desk.candidate(By(who), number, share),
            "shadow": lambda: self.desk.shadow(By(who), number),
        }
        now = self.clock.now_ms
        return (
            lambda: self.model.run(
                who.name, roles, number=number, act=act, share=share, now=now
            ),
            desk[act],
        )

    def do_rollback(self, who, roles):
        why, to = self._why(), self.chance.choice([None, None, self._number()])
        return (
            lambda: self.model.rollback(who.name, roles, why=why, to=to),
            lambda: self.desk.rollback(By(who, why), to=to),
        )

    def do_retire(self, who, roles):
        number, why = self._number(), self._why()
        return (
            lambda: self.model.retire(who.name, roles, number=number, why=why),
            lambda: self.desk.retire(By(who, why), number),
        )

    def do_rearm(self, who, roles):
        why = self._why()
        return (
            lambda: self.model.rearm(who.name, roles, why=why),
            lambda: self.desk.rearm(By(who, why), "*"),
        )

    def do_wait(self, _who, _roles):
        days = self.chance.choice([1, 3, 7])
        return (lambda: None, lambda: self.clock.days(days))


FITTING = {
    "do_approve": "approver",
    "do_draft": "author",
    "do_edit": "author",
    "do_propose": "author",
    "do_run": "approver",
}
WEIGHTS = {
    "do_approve": 22,
    "do_draft": 10,
    "do_edit": 10,
    "do_propose": 18,
    "do_rearm": 1,
    "do_reject": 4,
    "do_retire": 4,
    "do_rollback": 6,
    "do_run": 20,
    "do_wait": 3,
}


def played(desk, clock, chance, actions=ACTIONS):
    play = Play(desk, clock, chance)
    for n in range(actions):
        play.step()
        if n % 5 == 0:
            play.same()
    play.same()
    return play


@pytest.mark.timeout(7_200)  # of the long form
def test_random_actions_succeed_exactly_where_the_rules_allow_them():
    used = releases = 0
    for seed in range(SEQUENCES):
        clock = Clock()
        desk = MemoryDesk(ControlRules(), clock)
        play = played(desk, clock, Random(seed))
        used += play.proved()
        releases += play.model.releases
        assert verified(desk.work.entries) == []
    print(f"{SEQUENCES} sequences, {releases} releases, {used} approvals used")
    assert used > SEQUENCES / 5  # else the rules were hardly asked


@pytest.mark.parametrize("seed", range(max(2, SEQUENCES // 1_000)))
def test_the_database_answers_as_the_dictionaries_do(seed, tmp_path):
    clock = Clock()
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    desk = PolicyDesk(
        database, AnyText(), ControlRules(), clock, settled=lambda: "settled"
    )
    played(desk, clock, Random(seed)).proved()
    with desk.read(PEOPLE[0]) as work:
        assert verified(work.audit.entries()) == []
    database.close()
