"""How topics are laid out, and what about them would break a guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scoring.kafka.topic_names import Topics

_MS_PER_DAY = 86_400_000
_MS_PER_HOUR = 3_600_000
_FOREVER = -1
# Of three replicas or more: one may be down, and no broker's death loses a record.
_ACKNOWLEDGING = 2
_RECORD_BYTES_MAX = 1_048_588  # Kafka's own default
BY_BROKER = "LogAppendTime"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicLayout:
    """How the topics of one namespace shall be laid out; retention by kind, ms.

    Decisions, labels and events are what the store is rebuilt from, so they are kept
    longest. `control` alone is compacted: the newest of each key is in force. The
    others are not: every record is a fact of its own.
    """

    partitions: int
    replication: int
    transactions_ms: int = 7 * _MS_PER_DAY
    decisions_ms: int = 90 * _MS_PER_DAY
    dead_letters_ms: int = 30 * _MS_PER_DAY
    replicas_ms: int = _MS_PER_HOUR

    def partitions_of(self, topics: Topics, topic: str) -> int:
        """How many partitions one topic has; what is released has one order.

        >>> TopicLayout(partitions=4, replication=1).partitions_of(Topics(), "control")
        1
        """
        return 1 if topic in topics.controlled else self.partitions

    def retention_ms(self, topics: Topics, topic: str) -> int:
        """How long one topic keeps its records.

        >>> layout = TopicLayout(partitions=4, replication=1)
        >>> layout.retention_ms(Topics(), "labels") // 86_400_000
        90
        """
        if topic == topics.transactions:
            return self.transactions_ms
        if topic == topics.control:
            return _FOREVER
        if topic == topics.control_replicas:
            return self.replicas_ms
        lasting = (topics.decisions, topics.labels, topics.events, topics.challenger)
        if topic in lasting:
            return self.decisions_ms
        return self.dead_letters_ms

    def configs(self, topics: Topics, topic: str) -> dict[str, str]:
        """The settings with which one topic is created, as Kafka names them."""
        return {
            "retention.ms": str(self.retention_ms(topics, topic)),
            "cleanup.policy": "compact" if topic == topics.control else "delete",
            "message.timestamp.type": BY_BROKER,
            "min.insync.replicas": str(self.acknowledging),
        }

    @property
    def acknowledging(self) -> int:
        """How many replicas must have a record before it counts as written."""
        return min(_ACKNOWLEDGING, max(1, self.replication - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the topics must keep, ms.

    `dedupe_ms` is how long the store answers repeats; `rebuild_ms` is the longest
    window and the lateness and label delay allowed; 0 where an archive keeps them.
    `control` says that policies and lists come by the topic of that name.
    """

    dedupe_ms: int
    rebuild_ms: int
    control: bool = False


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """One topic as the broker describes it; settings it does not tell are absent."""

    name: str
    partitions: int
    replication: int = 1
    configs: Mapping[str, str] = field(default_factory=dict)
    id: str = ""  # of this incarnation; empty where the broker tells none

    @property
    def exists(self) -> bool:
        """Whether the broker has it."""
        return self.partitions > 0

    @property
    def retention_ms(self) -> int | None:
        """How long records are kept, -1 for ever; None where the broker is silent."""
        told = self.configs.get("retention.ms")
        return int(told) if told else None

    @property
    def record_bytes_max(self) -> int:
        """The largest record that it takes, as far as the broker tells."""
        return int(self.configs.get("max.message.bytes") or _RECORD_BYTES_MAX)


def faults(
    topics: Topics, found: Mapping[str, TopicDescription], needs: Needs
) -> list[str]:
    """Why these topics break a guarantee, one sentence each; empty when none does.

    >>> ok = {t: TopicDescription(t, 4) for t in Topics().all}
    >>> needs = Needs(dedupe_ms=8, rebuild_ms=8)
    >>> faults(Topics(), ok, needs)
    []
    >>> faults(Topics(), {**ok, "decisions": TopicDescription("decisions", 3)}, needs)[0]
    'decisions has 3 partitions and transactions 4: a decision goes to the partition of its transaction; give both the same'
    """  # noqa: E501 - the sentence is what the operator reads
    broken = [*broken_layout(topics, found), *_control(topics, found, needs)]
    if any(not found[topic].exists for topic in topics.all):
        return broken
    return [
        *broken,
        *_kept_longer_than_answered(found[topics.transactions], needs),
        *_kept_too_short(found[topics.decisions], needs),
        *_kept_too_short(found[topics.labels], needs),
        *_kept_too_short(found[topics.events], needs),
        *_timed_by_producers(found[topics.transactions]),
        *(fault for topic in topics.all for fault in _written_by_one(found[topic])),
    ]


def broken_layout(topics: Topics, found: Mapping[str, TopicDescription]) -> list[str]:
    """What no worker may start on: missing, unequal or compacted topics."""
    missing = [topic for topic in topics.all if not found[topic].exists]
    if missing:
        return [f"{topic} is missing: `scoring topics create`" for topic in missing]
    return [
        *_unequal(found[topics.transactions], found[topics.decisions]),
        *_unequal(found[topics.transactions], found[topics.transactions_dead_letter]),
        *_unequal(found[topics.labels], found[topics.labels_dead_letter]),
        *_unequal(found[topics.events], found[topics.events_dead_letter]),
        *(fault for topic in topics.all for fault in _compacted(found[topic])),
    ]


def _control(
    topics: Topics, found: Mapping[str, TopicDescription], needs: Needs
) -> list[str]:
    """What would lose a release, or their order; missing topics where none is used
    are none.
    """
    absent = TopicDescription("", 0)
    present = [t for t in topics.controlled if found.get(t, absent).exists]
    missing = [
        f"{topic} is missing, and SCORING_POLICY_FROM=control: `scoring topics create`"
        for topic in topics.controlled
        if needs.control and topic not in present
    ]
    if topics.control not in present:
        return missing
    topic = found[topics.control]
    policy = topic.configs.get("cleanup.policy", "compact")
    if policy != "compact":
        missing.append(
            f"{topic.name} has cleanup.policy={policy}: the policy in force would be "
            "deleted with age; set cleanup.policy=compact"
        )
    if topic.partitions > 1:
        missing.append(
            f"{topic.name} has {topic.partitions} partitions: releases have one order; "
            "delete it and create it with one"
        )
    return [*missing, *_written_by_one(topic)]


def _unequal(source: TopicDescription, output: TopicDescription) -> list[str]:
    if source.partitions == output.partitions:
        return []
    kind = "dead letter" if output.name.endswith("dead-letter") else "decision"
    kinds = {"labels": "label", "events": "lifecycle event"}
    last = next((own for own in kinds if source.name.endswith(own)), "")
    whose = kinds.get(last, "transaction")
    return [
        (
            f"{output.name} has {output.partitions} partitions and {source.name} "
            f"{source.partitions}: a {kind} goes to the partition of its {whose}; "
            "give both the same"
        )
    ]


def _compacted(topic: TopicDescription) -> list[str]:
    if "compact" not in topic.configs.get("cleanup.policy", ""):
        return []
    return [
        (
            f"{topic.name} is compacted: it would lose records of the same card; "
            "set cleanup.policy=delete"
        )
    ]


def _kept_longer_than_answered(topic: TopicDescription, needs: Needs) -> list[str]:
    kept_ms = topic.retention_ms
    if kept_ms is None or 0 <= kept_ms <= needs.dedupe_ms:
        return []
    return [
        (
            f"{topic.name} keeps records {_days(kept_ms)}, and the store answers "
            f"repeats for {_days(needs.dedupe_ms)}: an older record delivered again "
            "would be decided twice; lower retention.ms or raise SCORING_DEDUPE_S"
        )
    ]


def _kept_too_short(topic: TopicDescription, needs: Needs) -> list[str]:
    kept_ms = topic.retention_ms
    if kept_ms is None or kept_ms == _FOREVER or kept_ms >= needs.rebuild_ms:
        return []
    return [
        (
            f"{topic.name} keeps records {_days(kept_ms)}, and rebuilding the store "
            f"needs {_days(needs.rebuild_ms)}: raise retention.ms, or archive"
        )
    ]


def _timed_by_producers(topic: TopicDescription) -> list[str]:
    if topic.configs.get("message.timestamp.type", BY_BROKER) == BY_BROKER:
        return []
    return [
        (
            f"{topic.name} takes its producers' clocks for the time of receipt, by "
            "which the future is refused: set message.timestamp.type=LogAppendTime"
        )
    ]


def _written_by_one(topic: TopicDescription) -> list[str]:
    needed = topic.configs.get("min.insync.replicas")
    if topic.replication <= _ACKNOWLEDGING or needed is None:
        return []
    if int(needed) >= _ACKNOWLEDGING:
        return []
    return [
        (
            f"{topic.name} counts a record as written when one of its "
            f"{topic.replication} replicas has it: a broker's death would lose it; "
            "set min.insync.replicas=2"
        )
    ]


def _days(ms: int) -> str:
    return "for ever" if ms == _FOREVER else f"{ms / _MS_PER_DAY:g} days"
