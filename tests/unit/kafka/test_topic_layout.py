from dataclasses import replace

import pytest

from scoring.kafka.topic_layout import Needs, TopicDescription, TopicLayout, faults
from scoring.kafka.topic_names import Topics

DAY_MS = 86_400_000
TOPICS = Topics()
NEEDS = Needs(dedupe_ms=8 * DAY_MS, rebuild_ms=61 * DAY_MS)
LAYOUT = TopicLayout(partitions=4, replication=3)


def sound() -> dict[str, TopicDescription]:
    return {
        topic: TopicDescription(
            topic,
            4,
            3,
            {
                "retention.ms": str(LAYOUT.retention_ms(TOPICS, topic)),
                "cleanup.policy": "delete",
                "message.timestamp.type": "LogAppendTime",
                "min.insync.replicas": str(LAYOUT.acknowledging),
            },
        )
        for topic in TOPICS.all
    }


def with_topic(
    name: str, partitions: int = 4, **configs: str
) -> dict[str, TopicDescription]:
    found = sound()
    told = {
        **found[name].configs,
        **{k.replace("_", "."): v for k, v in configs.items()},
    }
    return found | {name: TopicDescription(name, partitions, 3, told)}


def test_the_layout_that_create_makes_is_sound():
    assert faults(TOPICS, sound(), NEEDS) == []


@pytest.mark.parametrize("name", TOPICS.all)
def test_a_missing_topic_is_named_with_its_remedy(name):
    [fault] = faults(TOPICS, with_topic(name, partitions=0), NEEDS)
    assert name in fault
    assert "scoring topics create" in fault


@pytest.mark.parametrize(
    "name",
    [
        "decisions",
        "transactions.dead-letter",
        "labels.dead-letter",
        "events.dead-letter",
    ],
)
def test_an_output_needs_as_many_partitions_as_its_input(name):
    [fault] = faults(TOPICS, with_topic(name, partitions=8), NEEDS)
    assert fault.startswith(f"{name} has 8 partitions")


@pytest.mark.parametrize("name", TOPICS.all)
def test_no_topic_may_be_compacted(name):
    [fault] = faults(TOPICS, with_topic(name, cleanup_policy="compact,delete"), NEEDS)
    assert "is compacted" in fault


@pytest.mark.parametrize("kept_ms", ["-1", str(9 * DAY_MS)])
def test_transactions_may_not_outlive_the_answers_to_their_repeats(kept_ms):
    [fault] = faults(TOPICS, with_topic("transactions", retention_ms=kept_ms), NEEDS)
    assert "decided twice" in fault


@pytest.mark.parametrize("name", ["decisions", "labels"])
def test_what_the_store_is_rebuilt_from_is_kept_long_enough(name):
    short = str(NEEDS.rebuild_ms - 1)
    [fault] = faults(TOPICS, with_topic(name, retention_ms=short), NEEDS)
    assert "rebuilding the store" in fault
    assert faults(TOPICS, with_topic(name, retention_ms="-1"), NEEDS) == []


def test_what_the_broker_does_not_tell_is_not_held_against_it():
    silent = {topic: TopicDescription(topic, 4) for topic in TOPICS.all}
    assert faults(TOPICS, silent, NEEDS) == []


def test_the_receipt_is_timed_by_the_broker_not_by_whoever_sends():
    found = with_topic("transactions", message_timestamp_type="CreateTime")
    [fault] = faults(TOPICS, found, NEEDS)
    assert "set message.timestamp.type=LogAppendTime" in fault


@pytest.mark.parametrize("name", TOPICS.all)
def test_a_record_counts_as_written_when_two_of_three_replicas_have_it(name):
    [fault] = faults(TOPICS, with_topic(name, min_insync_replicas="1"), NEEDS)
    assert f"{name} counts a record as written when one of its 3" in fault


@pytest.mark.parametrize(("replicas", "needed"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_one_replica_may_always_be_away(replicas, needed):
    assert TopicLayout(partitions=1, replication=replicas).acknowledging == needed


def with_control(partitions: int = 1, **configs: str) -> dict[str, TopicDescription]:
    made = LAYOUT.configs(TOPICS, TOPICS.control)
    told = made | {k.replace("_", "."): v for k, v in configs.items()}
    return sound() | {
        TOPICS.control: TopicDescription(TOPICS.control, partitions, 3, told),
        TOPICS.control_replicas: TopicDescription(TOPICS.control_replicas, 1, 3),
    }


def test_who_keeps_the_policy_in_a_file_needs_no_control_topic():
    assert faults(TOPICS, sound(), NEEDS) == []
    assert faults(TOPICS, with_control(), replace(NEEDS, control=True)) == []


def test_who_follows_the_control_plane_needs_both_of_its_topics():
    broken = faults(TOPICS, sound(), replace(NEEDS, control=True))
    assert [fault.split()[0] for fault in broken] == ["control", "control.replicas"]
    assert all("scoring topics create" in fault for fault in broken)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (with_control(cleanup_policy="delete"), "set cleanup.policy=compact"),
        (with_control(cleanup_policy="compact,delete"), "deleted with age"),
        (with_control(partitions=4), "create it with one"),
        (with_control(min_insync_replicas="1"), "set min.insync.replicas=2"),
    ],
)
def test_what_would_lose_a_release_or_its_order_is_named_used_or_not(found, says):
    [fault] = faults(TOPICS, found, NEEDS)
    assert says in fault
