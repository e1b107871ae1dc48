"""A token is forgotten in cases and lists; the audit does not say which."""

from __future__ import annotations

import pytest
from case_parts import BY_FAY, FRAUD, LEGITIMATE, NOW_MS, CaseBench, close, decision
from control_parts import DAN, FAY

from scoring.control.database.case_labels import LabelOutbox
from scoring.control.database.case_tables import CASES
from scoring.control.database.tables import AUDIT
from scoring.control.database.unit_of_work import reading
from scoring.control.desks.forget_desk import ForgetDesk, ForgetWish
from scoring.control.desks.list_desk import EntryWish, FileWish
from scoring.control.domain.cases import CaseVerdict, ListingWish, Shared
from scoring.control.domain.people import By
from scoring.errors import Denied, InvalidTransaction

TOKEN = "tok-of-somebody"  # noqa: S105 - a card's
BY_DAN = By(DAN, "asked to be erased")
OF_CARD = ForgetWish(what=Shared.CARD, token=TOKEN)


@pytest.fixture
def bench(control_database):
    return CaseBench(control_database)


@pytest.fixture
def desk(bench):
    return ForgetDesk(bench.database, bench.clock)


def holding(bench, text: str) -> set[str]:
    """The tables that say a text anywhere."""
    found = set()
    with reading(bench.database) as work:
        for table in CASES.metadata.sorted_tables:
            for row in work.connection.execute(table.select()):
                parts = [x if isinstance(x, bytes) else str(x).encode() for x in row]
                if any(text.encode() in part for part in parts):
                    found.add(table.name)
    return found


def test_no_table_but_the_audit_of_old_says_a_forgotten_token(bench, desk):
    """It was in a closed case, an open one, notes, lists, an import and its undo."""
    bench.arrives(decision("t1", card=TOKEN), decision("t2", card=TOKEN), decision())
    bench.lists.create(BY_FAY, "stolen", kind="block", field="card")
    bench.lists.put(BY_FAY, "stolen", EntryWish(token=TOKEN))
    lines = [b"token,reason\n", f"{TOKEN},other\n".encode()]
    for apply in (True, False):
        read = bench.lists.read_file(BY_FAY, "stolen", FileWish(source="a.csv"), lines)
        if apply:
            bench.lists.apply(BY_FAY, "stolen", read.number)
    bench.desk.close(BY_FAY, 1, close(FRAUD, ListingWish(list="stolen")))
    bench.desk.note(BY_FAY, 1, f"she says that {TOKEN} is hers")
    LabelOutbox(bench.database).published([1], at_ms=NOW_MS)
    assert len(holding(bench, TOKEN)) > 6
    told = desk.forget(BY_DAN, OF_CARD)
    assert (told.cases, told.lists) == (2, ("stolen",))
    assert holding(bench, TOKEN) == {"audit"}
    with reading(bench.database) as work:
        assert work.lists.named("stolen").count == 0
        rows = list(work.connection.execute(AUDIT.select()))
    forgot = [row for row in rows if row.action.endswith(".forget")]
    assert [row.action for row in forgot] == ["list.forget", "case.forget"]
    assert not any(TOKEN in str(row) for row in forgot)
    assert not any("customer-1" in str(row) for row in forgot)


def test_an_open_case_ends_without_a_finding_and_nothing_is_said_to_the_service(
    bench, desk
):
    bench.arrives(decision(card=TOKEN))
    desk.forget(BY_DAN, OF_CARD)
    case = bench.case()
    assert (case.erased, case.decided.card, case.decided.customer) == (True, "", "")
    assert case.closing.wish.verdict is CaseVerdict.INCONCLUSIVE
    assert bench.labels() == []
    assert bench.arrives(decision(card=TOKEN)) == 0, "it is read from the topic again"
    before = bench.state()
    assert desk.forget(BY_DAN, OF_CARD).cases == 0, "it is said again"
    assert bench.state() == before


def test_the_data_plane_is_told_that_a_token_is_off_its_lists(bench, desk):
    bench.lists.create(BY_FAY, "stolen", kind="block", field="card")
    bench.lists.create(BY_FAY, "devices", kind="block", field="device")
    for name in ("stolen", "devices"):
        bench.lists.put(BY_FAY, name, EntryWish(token=TOKEN))
    with reading(bench.database) as work:
        before = work.outbox.last
    assert desk.forget(BY_DAN, OF_CARD).lists == ("stolen",), "of a card, not a device"
    with reading(bench.database) as work:
        assert work.outbox.last == before + 1
        assert work.outbox.at(before + 1).key.startswith("list/stolen/change/")


def test_a_case_of_another_tenant_stays(bench, desk):
    bench.arrives(decision(card=TOKEN), decision("t2", card=TOKEN, tenant="b"))
    wish = ForgetWish(what=Shared.CARD, token=TOKEN, tenant="b")
    assert desk.forget(BY_DAN, wish).cases == 1
    bench.desk.close(BY_FAY, 1, close(LEGITIMATE))
    assert bench.case(2).erased


def test_who_may_not_or_would_name_the_token_forgets_nothing(bench, desk):
    bench.arrives(decision(card=TOKEN))
    for by, what, error in (
        (By(FAY), Shared.CARD, Denied),
        (By(DAN, f"{TOKEN} asked"), Shared.CARD, InvalidTransaction),
        (By(DAN), Shared.PAYMENT, InvalidTransaction),
    ):
        with pytest.raises(error):
            desk.forget(by, ForgetWish(what=what, token=TOKEN))
    assert not bench.case().erased
