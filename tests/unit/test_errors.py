"""The tree of errors, as it is drawn: what there is, and what a caller is told."""

import re

import grpc
import pytest

from scoring import errors
from scoring.doors.calls.refusals import refusal_of
from scoring.doors.grpc.status import metadata_of
from scoring.errors import DeadlineExceeded, Overloaded, RateLimited, ScoringError

DRAWN = re.compile(r"^([│├└─ ]*)(\w+)(?: {2,}(.*))?$", re.MULTILINE)
CODES = {code.name for code in grpc.StatusCode}


def drawn():
    """Each class of the drawing with the one it hangs from and the status it names."""
    above, found = [], {}
    for branch, name, told in DRAWN.findall(errors.__doc__):
        if not hasattr(errors, name):
            continue
        del above[len(branch) // 4 :]
        status = [word for word in told.split() if word in CODES]
        found[name] = (above[-1] if above else None, *status)
        above.append(name)
    return found


def defined():
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, ScoringError)
    }


def test_the_drawing_holds_every_error_under_its_parent():
    assert {name: parent for name, (parent, *_) in drawn().items()} == {
        name: None if kind is ScoringError else kind.__bases__[0].__name__
        for name, kind in defined().items()
    }


STATED = {name: status[0] for name, (_, *status) in drawn().items() if status}


@pytest.mark.parametrize("name", STATED)
def test_an_error_has_the_status_that_the_drawing_states(name):
    kind = defined()[name]
    assert refusal_of(kind.__new__(kind)).code.name == STATED[name]


def test_no_error_has_a_status_that_the_drawing_does_not_state():
    told = {refusal_of(kind.__new__(kind)).code.name for kind in defined().values()}
    assert told == set(STATED.values())


def test_what_an_outside_system_said_is_told_to_no_caller():
    error = errors.StoreUnavailable("redis://10.0.0.7:6379 refused")
    assert refusal_of(error).message == "the store does not answer; a retry may help"


def test_when_a_retry_is_welcome_is_told_with_the_refusal():
    for error in (Overloaded(retry_after_ms=7), RateLimited(2.5, retry_after_ms=7)):
        assert refusal_of(error).to_proto().retry_after_ms == 7
        assert ("grpc-retry-pushback-ms", "7") in metadata_of(refusal_of(error))


def test_a_time_limit_of_our_own_reads_like_a_deadline():
    assert refusal_of(TimeoutError("within")) == refusal_of(DeadlineExceeded())
