"""Who is refused because of the others, and who because of a deadline of their own."""

import pytest

from scoring.core.decision.decision import Door
from scoring.core.transaction.transaction import Transaction
from scoring.errors import Overloaded
from scoring.pipeline.load_shedding import LoadShedding
from scoring.ports.check import Check

NOW_S = 100.0


def refusal(*, left_ms: float, ahead: int) -> str:
    """What is told where one check takes 7 ms, and with all that is kept back 13."""
    shedding = LoadShedding(lambda: NOW_S, lambda _: 1, check_s=0.00699)
    check = Check(
        transaction=Transaction("default", "t1"),
        payload_hash=b"",
        received_at_ms=0,
        door=Door.GRPC,
        deadline=NOW_S + left_ms / 1_000,
    )
    try:
        shedding.refuse_late(check, ahead=ahead)
    except Overloaded as error:
        return str(error)
    return ""


@pytest.mark.parametrize("left_ms", [-5, 1, 3, 12.9])
@pytest.mark.parametrize("ahead", [0, 1, 50])
def test_a_deadline_that_one_check_alone_would_miss_is_told_what_to_allow(
    left_ms, ahead
):
    assert " 13 ms that one check takes now; allow more" in refusal(
        left_ms=left_ms, ahead=ahead
    )


def test_a_deadline_that_only_those_ahead_use_up_is_told_of_an_overload():
    assert refusal(left_ms=14, ahead=1).startswith("overloaded; retry")
    assert not refusal(left_ms=14, ahead=0)
    assert not refusal(left_ms=24, ahead=1)
