"""The AsyncAPI document is fresh, and true of the topics and of what we write."""

import json

import pytest
import toolbox
from jsonschema import Draft202012Validator
from written_records import RECORDS, TOPICS

from scoring import wire
from scoring.kafka import async_api
from scoring.kafka.topic_layout import TopicLayout
from scoring.kafka.topic_names import Topics

DOCUMENT = async_api.document()
SCHEMAS = toolbox.ROOT / "docs" / "schemas"


def channel_of(topic):
    channels = DOCUMENT["channels"].values()
    return next(c for c in channels if c["address"] == topic)


def message_of(record):
    """The message of a record's channel that has its content type."""
    declared = dict(record.headers)["content-type"].decode()
    names = channel_of(record.topic.removeprefix(TOPICS.prefix))["messages"]
    messages = [DOCUMENT["components"]["messages"][name] for name in names]
    (found,) = (m for m in messages if m["contentType"] == declared)
    return found


def test_the_published_document_is_what_the_topics_are_today():
    """When this fails: `make docs`."""
    assert (SCHEMAS / async_api.FILE).read_bytes() == async_api.rendered()


def test_every_topic_that_is_created_has_a_channel():
    channels = {*async_api.CHANNELS, *async_api.CONTROL_CHANNELS}
    assert channels == set(Topics().created)


@pytest.mark.parametrize("topic", Topics().created)
def test_a_channel_is_bound_to_what_a_topic_is_created_with(topic):
    bound = channel_of(topic)["bindings"]["kafka"]
    made = TopicLayout(partitions=1, replication=bound["replicas"])
    told = {
        name: ",".join(value) if isinstance(value, list) else str(value)
        for name, value in bound["topicConfiguration"].items()
    }
    assert told == made.configs(Topics(), topic)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_we_write_has_the_headers_of_its_message(name):
    record = RECORDS[name]
    message, headers = message_of(record), dict(record.headers)
    said = {header: value.decode() for header, value in headers.items()}
    Draft202012Validator(message["headers"]).validate(said)
    assert message["name"] == said["ce_type"]
    assert said.keys() <= message["headers"]["properties"].keys()


def test_the_payload_of_a_record_in_json_is_what_its_message_says():
    record = RECORDS["decision in JSON"]
    message = message_of(record)
    assert message["contentType"] == wire.JSON
    schema = json.loads((SCHEMAS / message["payload"]["$ref"]).read_text())
    Draft202012Validator(schema).validate(json.loads(record.value))
