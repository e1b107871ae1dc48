"""How a policy comes into force while the process runs: by releases, or by a file."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import Policy
from scoring.core.release.policy_release import PolicyText
from scoring.core.release.replica import ReplicaReport
from scoring.errors import BadArtifact, CorruptState
from scoring.kafka.client_options import client_options
from scoring.kafka.topic_names import Topics
from scoring.lists.dated_file import dated_lists_in
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper
from scoring.pipeline.scorer import Scorer
from scoring.ports.events import Event
from scoring.releases.control_topic import ControlTopic
from scoring.releases.follower import ReleaseFollower, in_force_of
from scoring.releases.policy_registry import PolicyRegistry
from scoring.releases.release_keeper import ReleaseKeeper
from scoring.releases.reporter import Reporter
from scoring.settings import Settings
from scoring.telemetry.prometheus import PrometheusTelemetry
from scoring.wiring.definitions import policy_of, policy_text_from
from scoring.wiring.file_watch import FileWatch

log = logging.getLogger(__name__)
# A start that has no release of its own waits so long for the topic.
_FIRST_S = 5.0


@dataclass(slots=True)
class PolicyVersions:
    """What is in force in one process, and every version that it can still evaluate.

    `name` tells the process from the others of this machine.
    """

    settings: Settings
    name: str
    catalogue: Catalogue
    now_ms: Callable[[], int]
    registry: PolicyRegistry
    keeper: ReleaseKeeper
    lists: ListKeeper
    _file: tuple[PolicyText, Policy] | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        name: str,
        catalogue: Catalogue,
        now_ms: Callable[[], int],
    ) -> PolicyVersions:
        """As the settings say, nothing read yet; raises `BadArtifact`."""
        if settings.policy_from == "control" and not settings.kafka_bootstrap:
            raise BadArtifact(
                "SCORING_POLICY_FROM=control: releases come by Kafka: set "
                "SCORING_KAFKA_BOOTSTRAP as well"
            )
        directory = settings.state_dir / "releases"
        registry = PolicyRegistry(directory / "policies", catalogue)
        keeper = ReleaseKeeper(directory / "last-good", registry, log.error)
        lists = ListKeeper(ListFiles(settings.state_dir / "lists"), keeper.refuse_list)
        return cls(settings, name, catalogue, now_ms, registry, keeper, lists)

    @property
    def released(self) -> bool:
        """Whether releases decide, not a file."""
        return self.settings.policy_from == "control"

    def first(self) -> InForce:
        """What a start begins with: the last good release, else the file; blocks.

        Raises `BadArtifact`.
        """
        if not self.released:
            return self._filed()
        try:
            self.lists.open()
        except BadArtifact as error:  # releases and lists are then kept in memory alone
            log.warning("no list is kept for a restart: %s", error)
        released = self.keeper.open()
        begun = InForce(released.policy if released else self.from_file())
        return in_force_of(released, self.lists.current, begun)

    def _filed(self) -> InForce:
        """What files say: the policy, and where a replay left them, dated lists."""
        policy, dated = self.from_file(), dated_lists_in(self.settings.state_dir)
        if policy.managed and dated is None:
            log.warning(
                "SCORING_POLICY_FROM is file: managed lists come by releases alone, so "
                "that nothing is on %s",
                ", ".join(sorted(policy.managed)),
            )
        revision = 0 if dated is None else dated.revision
        return InForce(policy, lists_revision=revision, dated=dated)

    def policy(self, version: str, held: InForce) -> Policy | None:
        """A version, compiled; None where nobody here has it, or it cannot run.

        Blocks, where it is not one of those `held` in force.
        """
        arms = (held.policy, held.candidate, *held.shadows)
        for policy in arms:
            if policy is not None and policy.version == version:
                return policy
        try:
            return self.registry.policy(version)
        except (BadArtifact, CorruptState):
            return None

    def from_file(self) -> Policy:
        """The policy of the files, its text kept; raises `BadArtifact`."""
        text = policy_text_from(self.settings)
        if self._file is not None and self._file[0] == text:
            return self._file[1]
        policy = policy_of(text, self.settings, self.catalogue)
        self._file = (text, policy)
        try:
            self.registry.keep(replace(text, version=policy.version))
        except OSError as error:
            log.warning(
                "policy %s: its text is not kept: its decisions will lack reason "
                "codes in explanations once another is in force: %s",
                policy.version,
                error,
            )
        return policy


@dataclass(slots=True)
class Following:
    """One process as it follows what is released, and shows what it runs."""

    policies: PolicyVersions
    scorer: Scorer
    telemetry: PrometheusTelemetry
    started_at_ms: int

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow from now on, until the end of the block.

        Where nothing was ever released to this machine, the topic is asked first, for
        some seconds at most. Raises `BadArtifact` where a last good release is there
        that cannot run, and none that can comes.
        """
        self._shown()
        tasks = []
        if not self.policies.released:
            tasks.append(asyncio.create_task(self._follow_file()))
        else:
            follower = self._follower()
            tasks.append(asyncio.create_task(follower.follow()))
            tasks.append(asyncio.create_task(self._reporter(follower.changed).run()))
        for task in tasks:
            task.add_done_callback(_ended)
        try:
            if self.policies.released:
                await self._first(follower)
            counts = self.policies.settings.breaker
            async with self.scorer.breaker.running(counts=counts):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _first(self, follower: ReleaseFollower) -> None:
        keeper = self.policies.keeper
        if keeper.current is not None:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(follower.caught_up.wait(), _FIRST_S)
        if keeper.unable:
            raise BadArtifact(keeper.unable)

    def report(self) -> ReplicaReport:
        """What this process runs now."""
        held, keeper = self.scorer.artifacts.in_force, self.policies.keeper
        current = keeper.current
        return ReplicaReport(
            replica=f"{socket.gethostname()}/{self.policies.name}",
            door=self.policies.name.partition("-")[0],
            process=os.getpid(),
            started_at_ms=self.started_at_ms,
            at_ms=self.policies.now_ms(),
            policy=held.policy.version,
            candidate=None if held.candidate is None else held.candidate.version,
            release=0 if current is None else current.release.release,
            list_revision=held.lists_revision,
            refused=keeper.refused or keeper.list_refused,
            tripped=self.scorer.breaker.holding,
        )

    def _swap(self, change: Callable[[InForce], InForce]) -> None:
        """Change what is in force, from the next batch on."""
        artifacts = self.scorer.artifacts
        changed = change(artifacts.in_force)
        self.scorer.artifacts = replace(artifacts, in_force=changed)
        before, now = artifacts.in_force.policy, changed.policy
        if before.version != now.version:
            log.info(
                "policy %s decides from now on, not %s", now.version, before.version
            )

    def _counted(self, taken: int, refused: int) -> None:
        self.telemetry.count(Event.RELEASE_TAKEN, taken)
        self.telemetry.count(Event.RELEASE_REFUSED, refused)
        self._shown()

    def _shown(self) -> None:
        current = self.policies.keeper.current
        published = 0 if current is None else current.release.published_at_ms
        self.telemetry.runs(self.report(), published_at_ms=published)

    def _follower(self) -> ReleaseFollower:
        settings = self.policies.settings
        topic = ControlTopic(
            settings.kafka_bootstrap,
            client_options(settings.kafka_options),
            Topics(settings.topic_prefix).control,
            settings.fetch_wait_ms,
        )
        self.telemetry.watch({"control": lambda: topic.following})
        kept = self.policies
        return ReleaseFollower(
            topic, kept.keeper, kept.lists, self._swap, self._counted
        )

    def _reporter(self, changed: asyncio.Event) -> Reporter:
        settings = self.policies.settings
        return Reporter(
            settings.kafka_bootstrap,
            client_options(settings.kafka_options),
            Topics(settings.topic_prefix).control_replicas,
            self.report,
            changed,
        )

    async def _follow_file(self) -> None:
        """Decide by what the files say whenever they change."""
        settings = self.policies.settings
        files = [file for file in (settings.policy_file, settings.reasons_file) if file]
        if not files:
            return

        async def take(policy: Policy) -> bool:
            if policy.version != self.scorer.artifacts.in_force.policy.version:
                self._swap(lambda held: replace(held, policy=policy))
                self._counted(1, 0)
            return True

        def refused(why: str) -> None:
            self._counted(0, 1)
            kept = self.scorer.artifacts.in_force.policy.version
            log.error("the policy is refused, %s stays in force: %s", kept, why)

        load = self.policies.from_file
        await FileWatch(files, load, take, refused).follow()


def _ended(task: asyncio.Task[None]) -> None:
    """Say that one of those that go on for ever has failed: nothing awaits them."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.critical(
            "what is in force stays until this process is restarted: it is followed or "
            "reported no more: %r",
            error,
            exc_info=error,
        )
