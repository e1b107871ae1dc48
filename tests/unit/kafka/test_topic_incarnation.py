"""Which topic a position means, and brokers that cannot tell."""

from types import SimpleNamespace

from scoring.kafka.topic_incarnation import (
    committed_in,
    of_another,
    topic_ids,
)

ONE, OTHER = "1" * 32, "2" * 32


async def test_a_broker_before_2_8_tells_no_ids_and_every_commit_is_believed():
    async def send(_node, request):
        return request.prepare({request.API_KEY: (0, 9)})

    old = SimpleNamespace(get_random_node=lambda: 0, send=send)
    assert await topic_ids(old, ["transactions"]) == {}
    assert not of_another(committed_in(ONE), "")


async def test_without_topics_nobody_is_asked():
    assert await topic_ids(None, []) == {}


def test_a_commit_means_the_topic_that_it_names():
    assert of_another(committed_in(ONE), OTHER)
    assert not of_another(committed_in(ONE), ONE)


def test_an_operators_reset_and_an_earlier_releases_commit_are_believed():
    assert not of_another("", OTHER)
    assert not of_another("set by hand", OTHER)
