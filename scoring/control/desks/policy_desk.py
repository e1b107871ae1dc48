"""What people do with policies, from the first draft to the last rollback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.desks import policy_steps as steps
from scoring.control.desks.backtest_figures import keep_figures
from scoring.control.desks.policy_steps import Asked, PolicyAnswer
from scoring.control.desks.policy_texts import PolicyTexts
from scoring.control.desks.releasing import put_in_force
from scoring.control.domain import approvals, policy_life
from scoring.control.domain.approvals import Act, PolicyProposal
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import By, Doing, Person, Right
from scoring.control.domain.policy_life import PolicyState
from scoring.control.domain.wordings import checked_why
from scoring.errors import ChangedMeanwhile, InvalidTransaction, NotPossible


class PolicyDesk:
    """Every action on policies: each is one transaction with its audit entry.

    `now_ms` is the clock (UTC); `settled` tells the settings' version (a hash), which
    is in force before the first release, and raises `BadArtifact`. Where an action
    takes `read`, it is the number of the release that the person read; another one in
    force then raises `ChangedMeanwhile`.

    Blocks on the database. Raises `Denied`, `NotFound`, `NotPossible` (with
    `ChangedMeanwhile` and `ReasonRequired`), `InvalidTransaction`, `BadArtifact` for a
    text, and `DatabaseUnavailable`; then nothing was changed.
    """

    def __init__(
        self,
        database: Database,
        texts: PolicyTexts,
        rules: ControlRules,
        now_ms: Callable[[], int],
        *,
        settled: Callable[[], str],
    ) -> None:
        self._database = database
        self._texts = texts
        self._now_ms = now_ms
        self._settled = settled
        self.rules = rules

    # Writing -------------------------------------------------------------------

    def draft(
        self,
        by: By,
        text: str,
        *,
        reasons: str | None = None,
        based_on: int | None = None,
    ) -> PolicyAnswer:
        """A new draft, of a version's content changed or of a text alone."""
        by.person.needs(Right.WRITE_POLICY)
        checked = self._texts.checked(text, reasons)
        with self._doing(by) as (work, doing):
            base = None if based_on is None else work.policies.policy(based_on)
            number = work.policies.next_number()
            policy = policy_life.drafted(number, checked, base, doing)
            return self._told(steps.keep_text(work, None, policy, doing))

    def edit(
        self,
        by: By,
        number: int,
        text: str,
        *,
        revision: int,
        reasons: str | None = None,
    ) -> PolicyAnswer:
        """A draft with another text; of what is no draft any more, a new draft.

        `revision` is the one that the person read.
        """
        by.person.needs(Right.WRITE_POLICY)
        checked = self._texts.checked(text, reasons)
        with self._doing(by) as (work, doing):
            earlier = work.policies.policy(number)
            if earlier.state is not PolicyState.DRAFT and revision == earlier.revision:
                new = work.policies.next_number()
                policy = policy_life.drafted(new, checked, earlier, doing)
                return self._told(steps.keep_text(work, None, policy, doing))
            try:
                policy = policy_life.edited(
                    earlier, checked, by.person, revision=revision
                )
            except ChangedMeanwhile as error:
                error.changes = steps.changes_since(work, earlier, revision)
                raise
            return self._told(steps.keep_text(work, earlier, policy, doing))

    def propose(
        self, by: By, number: int, act: Act = Act.RELEASE, share: float | None = None
    ) -> PolicyAnswer:
        """Propose a version for an act, with the best backtest of its exact hash.

        From then on its text never changes.
        """
        by.person.needs(Right.WRITE_POLICY)
        settled, understood = self._settled_now(), self._understood(number)
        with self._doing(by) as (work, doing):
            policy = steps.as_understood(work, number, understood)
            return self._proposed(work, policy, (act, share), doing, settled)

    def keep_backtest(self, by: By, backtest: Backtest) -> Backtest:
        """Keep figures that somebody brings; number, author and time are set here."""
        by.person.needs(Right.BACKTEST)
        with self._doing(by) as (work, doing):
            number = work.backtest_jobs.next_number()
            who = by.person.name
            kept = replace(
                backtest, number=number, by=who, at_ms=doing.at_ms, brought=True
            )
            keep_figures(work, kept, doing)
            return kept

    # Four eyes -----------------------------------------------------------------

    def approve(
        self, by: By, proposal: int, version: str, *, at_once: bool = False
    ) -> PolicyAnswer:
        """Approve a proposal of a version (a hash), and do it `at_once` where asked.

        A reason is required where the gate asks for it.
        """
        by.person.needs(Right.APPROVE)
        settled = self._settled_now()
        if at_once:
            with self._reading() as work:
                number = work.policies.proposal(proposal).policy
            self._understood(number)  # what was proposed never changes
        with self._doing(by) as (work, doing):
            found = work.policies.proposal(proposal)
            if found.version != version:
                raise ChangedMeanwhile(
                    f"version: proposal {proposal} is of {found.version}, you approve "
                    f"{version}; read it again"
                )
            because, read = steps.gate_asks(work, found, self.rules, settled)
            writers = policy_life.writers(work.policies.of_version(version))
            approval = approvals.approved(found, writers, because, self.rules, doing)
            work.policies.save_proposals([approval])
            policy = work.policies.policy(found.policy)
            if policy.state is PolicyState.PROPOSED:
                policy = steps.moved(work, policy, PolicyState.APPROVED)
            beside = {
                "backtest": None if read is None else read.number,
                "gate": list(because),
                "single_user": self.rules.single_user,
            }
            steps.record_decision(work, "policy.approve", approval, beside, doing)
            if not at_once:
                return self._told(PolicyAnswer(policy=policy, proposal=approval))
            done = steps.perform(work, policy, (found.act, found.share), doing)
            return self._told(replace(done, proposal=work.policies.proposal(proposal)))

    def reject(self, by: By, proposal: int) -> PolicyAnswer:
        """Refuse a proposal, with a reason; an author may withdraw the version so."""
        with self._doing(by) as (work, doing):
            found = work.policies.proposal(proposal)
            policy = work.policies.policy(found.policy)
            refused = approvals.rejected(found, policy.authors, doing)
            void: list[PolicyProposal] = []
            if policy.state is PolicyState.PROPOSED:
                policy = steps.moved(work, policy, PolicyState.REJECTED)
                void = approvals.ended(work.policies.proposals(policy=policy.number))
            work.policies.save_proposals([*void, refused])
            steps.record_decision(work, "policy.reject", refused, {}, doing)
            return self._told(PolicyAnswer(policy=policy, proposal=refused))

    # What runs -------------------------------------------------------------------

    def release(self, by: By, number: int, *, read: int | None = None) -> PolicyAnswer:
        """Put an approved version in force."""
        return self._perform(by, number, (Act.RELEASE, None), read)

    def candidate(
        self, by: By, number: int, share: float, *, read: int | None = None
    ) -> PolicyAnswer:
        """Let a version decide a share of payments; less than now needs no approval."""
        return self._perform(by, number, (Act.CANDIDATE, share), read)

    def shadow(self, by: By, number: int, *, read: int | None = None) -> PolicyAnswer:
        """Record what a version would decide, beside the one in force."""
        return self._perform(by, number, (Act.SHADOW, None), read)

    def rollback(
        self, by: By, *, to: int | None = None, read: int | None = None
    ) -> PolicyAnswer:
        """Return to earlier content, as a new version with the reason.

        To the version before it is in force at once; to another, it is proposed.
        """
        by.person.needs(Right.ROLL_BACK)
        because = "a rollback is recorded with its reason"
        checked_why(by.why, because=(because,))
        with self._reading() as work:
            _, _, target = steps.returning_to(work, to, read)
        understood = self._understood(target)
        with self._doing(by, because) as (work, doing):
            arrangement, before, target = steps.returning_to(work, to, read)
            content = steps.as_understood(work, target, understood)
            new = work.policies.next_number()
            policy = policy_life.restored(new, content, doing)
            steps.keep_text(work, None, policy, doing)
            if target != before:
                asked = (Act.RELEASE, None)
                return self._proposed(work, policy, asked, doing)
            wanted = steps.with_policy(work, arrangement, policy)
            release = put_in_force(work, "policy.rollback", new, wanted, doing)
            return self._told(
                PolicyAnswer(policy=work.policies.policy(new), release=release)
            )

    def retire(self, by: By, number: int, *, read: int | None = None) -> PolicyAnswer:
        """Stop a candidate or a shadow, or end a version that does not run."""
        because = "what ends is recorded with its reason"
        with self._doing(by, because) as (work, doing):
            policy = work.policies.policy(number)
            runs = policy.state in policy_life.RUNNING
            by.person.needs(Right.ROLL_BACK if runs else Right.WRITE_POLICY)
            arrangement = steps.arrangement_at(work, read)
            if number == arrangement.policy:
                raise NotPossible(
                    f"version {number} is in force; release another, or roll back"
                )
            if runs:
                wanted = arrangement.stopping(number)
                release = put_in_force(work, "policy.stop", number, wanted, doing)
                stopped = work.policies.policy(number)
                return self._told(PolicyAnswer(policy=stopped, release=release))
            if policy.state is PolicyState.RETIRED:
                raise NotPossible(f"version {number} is retired already")
            of_it = work.policies.proposals(policy=number)
            work.policies.save_proposals(approvals.ended(of_it))
            retired = steps.moved(work, policy, PolicyState.RETIRED)
            steps.record(work, "policy.retire", (policy, retired), doing)
            return self._told(PolicyAnswer(policy=retired))

    def rearm(self, by: By, rule: str, *, read: int | None = None) -> PolicyAnswer:
        """Let the breaker of a rule begin anew, in a new release.

        Raises `InvalidTransaction` where no breaker of what decides watches it.
        """
        by.person.needs(Right.ROLL_BACK)
        self._needs_guarded(rule)
        because = "a breaker is re-armed with its reason"
        with self._doing(by, because) as (work, doing):
            wanted = steps.arrangement_at(work, read).rearming(rule, doing.at_ms)
            number = wanted.policy or 0
            release = put_in_force(work, "policy.rearm", number, wanted, doing)
            policy = work.policies.policy(number)
            return self._told(PolicyAnswer(policy=policy, release=release))

    def republish(self, by: By, *, read: int | None = None) -> PolicyAnswer:
        """Release what is in force here once more, under a new number.

        Where the database was restored from a backup, the data plane runs what came
        after it; this returns it to what the database says.
        """
        by.person.needs(Right.ROLL_BACK)
        because = "a release is repeated with its reason"
        with self._doing(by, because) as (work, doing):
            wanted = steps.arrangement_at(work, read)
            number = wanted.policy or 0
            release = put_in_force(work, "policy.republish", number, wanted, doing)
            policy = work.policies.policy(number)
            return self._told(PolicyAnswer(policy=policy, release=release))

    # Reading -------------------------------------------------------------------

    @contextmanager
    def read(self, person: Person) -> Iterator[UnitOfWork]:
        """What is kept, as of one instant, for whoever may read."""
        person.needs(Right.READ)
        with self._reading() as work:
            yield work

    def gate(self, person: Person, proposal: int) -> tuple[str, ...]:
        """What the gate would ask a written reason for."""
        person.needs(Right.READ)
        settled = self._settled_now()
        with self._reading() as work:
            found = work.policies.proposal(proposal)
            return steps.gate_asks(work, found, self.rules, settled)[0]

    # ---------------------------------------------------------------------------

    def _proposed(
        self,
        work: UnitOfWork,
        policy: policy_life.PolicyVersion,
        asked: Asked,
        doing: Doing,
        settled: str = "",
    ) -> PolicyAnswer:
        """A proposal, with what its approval will need: whoever proposes can act."""
        policy, proposal = steps.propose(work, policy, asked, doing, settled)
        gate, _ = steps.gate_asks(work, proposal, self.rules, settled)
        return self._told(PolicyAnswer(policy=policy, proposal=proposal, gate=gate))

    def _perform(
        self, by: By, number: int, asked: Asked, read: int | None
    ) -> PolicyAnswer:
        approvals.checked_share(*asked)
        with self._reading() as work:
            steps.arrangement_at(work, read)
        understood = self._understood(number)
        with self._doing(by) as (work, doing):
            steps.arrangement_at(work, read)
            policy = steps.as_understood(work, number, understood)
            return self._told(steps.perform(work, policy, asked, doing))

    def _settled_now(self) -> str:
        """The settings' version where nothing was released; compiled before a writer
        holds the others up.
        """
        with self._reading() as work:
            released = work.policies.in_force() is not None
        return "" if released else self._settled()

    def _needs_guarded(self, rule: str) -> None:
        """That a breaker of the policy in force, or of its candidate, watches it."""
        with self._reading() as work:
            running = steps.arrangement_at(work, None).deciding
            texts = [work.policies.policy(number).checked for number in running]
        watched = {name for each in texts for name in self._texts.guarded(each)}
        if texts and rule not in watched:
            known = ", ".join(sorted(watched)) or "none"
            raise InvalidTransaction(
                "rule", f"no breaker watches it; what decides has breakers of: {known}"
            )

    def _understood(self, number: int) -> policy_life.PolicyVersion:
        """A version that means today what it meant; compiled before a writer holds
        the others up, who checks that it is still the same one.

        Raises where the definitions of today refuse or read its text otherwise.
        """
        with self._reading() as work:
            policy = work.policies.policy(number)
        checked = self._texts.checked(policy.checked.text, policy.checked.reasons)
        if checked.version != policy.version:
            raise NotPossible(
                f"version {policy.number} was {policy.version} and means "
                f"{checked.version} by the definitions of today; draft it again"
            )
        return policy

    @contextmanager
    def _doing(self, by: By, *because: str) -> Iterator[tuple[UnitOfWork, Doing]]:
        """A transaction and when it is done; a reason is required `because` of this."""
        why = checked_why(by.why, because=because)
        with self._writing() as work:
            yield work, replace(by, why=why).at(self._now_ms())

    def _writing(self) -> AbstractContextManager[UnitOfWork]:
        return writing(self._database)

    def _reading(self) -> AbstractContextManager[UnitOfWork]:
        return reading(self._database)

    def _told(self, answer: PolicyAnswer) -> PolicyAnswer:
        return replace(answer, notices=self.rules.notices)
