"""Cases on every database: the queue, its filters and its pages."""

from __future__ import annotations

import pytest
from case_parts import (
    BY_FAY,
    BY_GUS,
    NOW_MS,
    CaseBench,
    close,
    decision,
)

from scoring.control.database.cases import place_after
from scoring.control.database.unit_of_work import reading
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import (
    CaseOrder,
    CaseState,
)


def listed(bench, order=CaseOrder.OLDEST, **wanted):
    """The transactions of a filter, page by page."""
    found, after = [], None
    while True:
        with reading(bench.database) as work:
            page = work.cases.page(
                CaseFilter(**wanted),
                order,
                at_ms=bench.clock(),
                after=after,
                count_max=2,
            )
        if not page:
            return [each.decided.transaction_id for each in found]
        found += page
        after = place_after(page[-1], order)


@pytest.fixture
def queue(control_database):
    bench = CaseBench(control_database)
    bench.arrives(
        decision("a", at_ms=NOW_MS - 3_000, amount_minor=500, merchant="shop"),
        decision("b", at_ms=NOW_MS - 5_000, amount_minor=None, reason="NEW_DEVICE"),
        decision("c", at_ms=NOW_MS - 90_000_000, amount_minor=500, tenant="acme"),
        decision("d", at_ms=NOW_MS - 5_000, currency="XAU", rules=["gold"]),
        decision(
            "e", at_ms=NOW_MS - 1_000, amount_minor=9_000, outcome=4, sent_by=["x"]
        ),
        decision("f", at_ms=NOW_MS - 500, amount_minor=0),
    )
    bench.desk.assign(BY_FAY, 2)
    bench.desk.close(BY_GUS, 6, close())
    return bench


def test_the_queue_is_in_order_from_page_to_page(queue):
    assert "".join(listed(queue)) == "cbdae"
    assert "".join(listed(queue, CaseOrder.NEWEST)) == "eadbc"
    assert "".join(listed(queue, CaseOrder.LARGEST)) == "eacbd"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"state": CaseState.OPEN}, "cdae"),
        ({"state": CaseState.ASSIGNED}, "b"),
        ({"state": CaseState.CLOSED}, "f"),
        ({"assignee": "fay"}, "b"),
        ({"tenant": "acme"}, "c"),
        ({"merchant": "shop"}, "a"),
        ({"outcome": "decline"}, "e"),
        ({"rule": "gold"}, "d"),
        ({"rule": "velocity", "merchant": "shop"}, "a"),
        ({"reason": "NEW_DEVICE"}, "b"),
        ({"worth_from": 500}, "cae"),
        ({"worth_below": 501}, "ca"),
        ({"decided_before_ms": NOW_MS - 5_000}, "c"),
        ({"decided_from_ms": NOW_MS - 3_000}, "ae"),
        ({"is_overdue": True}, "c"),
        ({"is_overdue": False, "rule": "gold"}, "d"),
        ({"transaction_id": "e"}, "e"),
        ({"tenant": "nobody"}, ""),
    ],
)
def test_the_queue_is_filtered_by(queue, wanted, found):
    assert "".join(listed(queue, **wanted)) == found


def test_the_queue_says_how_it_is(queue):
    with reading(queue.database) as work:
        figures = work.cases.figures(at_ms=queue.clock())
    assert (figures.open, figures.assigned, figures.overdue) == (4, 1, 1)
    assert figures.oldest_ms == NOW_MS - 90_000_000
