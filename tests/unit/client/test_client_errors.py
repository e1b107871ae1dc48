"""The client's errors: what the service raised, or what a network said."""

import grpc
import pytest

from scoring.client import (
    CardNumberRefused,
    DeadlineExceeded,
    Denied,
    EventConflict,
    InvalidTransaction,
    LabelConflict,
    MessageTooLarge,
    NotExplainable,
    NotFound,
    NotSupported,
    Overloaded,
    RateLimited,
    ScoringError,
    TooManyEvents,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    UnknownTransaction,
)
from scoring.client.control_plane import OverHttp
from scoring.client.messages import error_of_item
from scoring.doors.calls.refusals import KINDS, refusal_of
from scoring.errors import BadArtifact
from scoring.v1.fraud_scoring_pb2 import CheckError


@pytest.mark.parametrize("status", list(grpc.StatusCode), ids=lambda s: s.name)
def test_a_status_without_our_word_is_an_error_by_its_name(status):
    by_name = {
        "INVALID_ARGUMENT": InvalidTransaction,
        "ALREADY_EXISTS": TransactionConflict,
        "NOT_FOUND": NotFound,
        "PERMISSION_DENIED": Denied,
        "UNAUTHENTICATED": Unauthenticated,
        "DEADLINE_EXCEEDED": DeadlineExceeded,
        "UNAVAILABLE": Unavailable,
        "UNIMPLEMENTED": NotSupported,
    }
    item = CheckError(code=status.value[0], message="why")
    found = error_of_item(item)
    expected = by_name.get(status.name, ScoringError)
    assert type(found) is expected
    assert str(found) == "why"
    named = status.name.lower().replace("_", "-")
    assert found.code == (named if expected is ScoringError else expected.code)
    assert issubclass(Unauthenticated, Denied)


def test_a_pushback_without_our_word_is_an_overload_that_says_when_to_come_again():
    busy = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    found = error_of_item(CheckError(code=busy, message="busy", retry_after_ms=70))
    assert type(found) is Overloaded
    assert found.retry_after_ms == 70


EVERY_ERROR = [
    InvalidTransaction("amount_minor", "must not be negative"),
    CardNumberRefused("card"),
    MessageTooLarge(9),
    TransactionConflict("t1", ("card", "amount_minor")),
    LabelConflict(),
    EventConflict(),
    TooManyEvents(),
    NotFound("nothing is recorded", "transaction_id"),
    UnknownTransaction(),
    Unavailable("it is away"),
    Overloaded(retry_after_ms=80),
    RateLimited(5.0, retry_after_ms=90),
    DeadlineExceeded(),
    NotExplainable("it has no score"),
    NotSupported("not by this installation"),
    Denied("not you", "merchant"),
    Unauthenticated("who are you"),
]


def test_every_error_of_the_service_is_tried():
    assert {type(error) for error in EVERY_ERROR} | {ScoringError} == set(KINDS)


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.code)
def test_an_error_comes_back_as_what_it_was_with_all_that_it_says(error):
    refusal = refusal_of(error)
    found = error_of_item(refusal.to_proto())
    assert type(found) is type(error)
    assert (found.code, found.field) == (error.code, error.field)
    told = [name for name in vars(error) if name not in {"field", "code"}]
    assert [getattr(found, name) for name in told] == [
        getattr(error, name) for name in told
    ]
    assert str(found) == refusal.message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8090", "http://[::1]:1", "http://localhost", "https://h"]
)
def test_a_token_is_sent_where_nobody_can_read_it(url):
    assert OverHttp(url, "t").url == url


def test_a_token_is_sent_unencrypted_to_another_machine_only_where_one_says_so():
    with pytest.raises(BadArtifact, match="SCORING_CONTROL_PLAIN_HTTP"):
        OverHttp("http://control.example.org:8090", "t")
    assert OverHttp("http://control.example.org:8090", "t", plain=True).plain
