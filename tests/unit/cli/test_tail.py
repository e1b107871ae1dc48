"""`scoring tail` shows what can be looked up, and finds what is asked for."""

import io

import pytest
from rich.console import Console

from scoring.cli.tail import _row, _table
from scoring.kafka.tail import TailFilter
from scoring.v1 import decision_pb2


@pytest.fixture
def decision():
    message = decision_pb2.Decision()
    message.core.transaction_id = "0e6f8dd7-6d0c-4f7e-9a53-2f8f0a4a8d5b"
    message.core.outcome = decision_pb2.OUTCOME_DECLINE
    message.core.rule_hits.add(rule="new_device_unusual_amount")
    message.transaction.merchant = "shop-17"
    return message


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_cell_is_cut_however_narrow_the_terminal(decision, width):
    screen = Console(file=io.StringIO(), width=width)
    screen.print(_table([_row(decision)]))
    assert "…" not in screen.file.getvalue()
    lines = screen.file.getvalue().splitlines()
    cells = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert "".join(cells) == decision.core.transaction_id


def test_decisions_are_found_by_rule_and_merchant(decision):
    assert TailFilter(rule="new_device_unusual_amount", merchant="shop-17").has(
        decision
    )
    assert not TailFilter(rule="new_device_unusual_amount", merchant="shop-1").has(
        decision
    )
    assert not TailFilter(rule="other").has(decision)
