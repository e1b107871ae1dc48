"""How long a page of the queue takes, whatever it is filtered by and however deep.

    make bench NAME=cases

A database of each kind holds 100,000 cases that are not closed and a fifth as many that
are. Pages of 50 are read as the API reads them, in each order and by each filter: the
first, one in the middle and the last; of three times the least counts, for the machine
may be shared. Beside them the yardstick: a page by the primary
key alone. The last line is JSON. Another count may be named.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from sqlalchemy import select, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from postgres_cluster import PostgresCluster

from scoring.control.api.case_views import CaseView
from scoring.control.database.case_tables import CASES
from scoring.control.database.cases import CasePlace, ordered, sort_key, where
from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import reading, writing
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import (
    Case,
    CaseOrder,
    CaseState,
    CaseVerdict,
    Closing,
    ClosingWish,
    DecidedPayment,
    opened,
)

OPEN, PAGE, AGAIN, LIMIT_MS = 100_000, 50, 3, 100.0
NOW_MS, HOUR_MS = 1_767_225_600_000, 3_600_000
RAW = b"d" * 2_000  # a logged decision without its features
_CHUNK = 5_000


def made(count: int) -> Iterator[Case]:
    """Cases of two days, then as many closed ones; some rules are common, some rare."""
    chance = random.Random(1)
    for number in range(1, count + count // 5 + 1):
        decided_ms = NOW_MS - chance.randrange(48 * HOUR_MS)
        worth = None if chance.random() < 0.02 else int(chance.lognormvariate(8, 1.5))
        rules = [f"rule_{chance.randrange(30)}"]
        rules += ["rare"] * (chance.random() < 0.0002)
        rules += ["common"] * (chance.random() < 0.4)
        shop = min(int(chance.paretovariate(0.6)), 20_000)
        case = opened(
            number,
            DecidedPayment(
                tenant="default",
                transaction_id=f"payment-{number}",
                payment_id=f"order-{number // 2}",
                outcome="review" if chance.random() < 0.95 else "decline",
                score=chance.random(),
                decided_at_ms=decided_ms,
                occurred_at_ms=decided_ms,
                amount_minor=worth,
                currency="EUR",
                worth_minor=worth,
                card=f"card-{chance.randrange(count)}",
                customer=f"customer-{chance.randrange(count)}",
                device=f"device-{chance.randrange(count)}",
                merchant=f"merchant-{shop}",
                policy="0123456789abcdef",
                rules=tuple(rules),
                reasons=(f"REASON_{chance.randrange(12)}", "SCORE_HIGH"),
            ),
            at_ms=decided_ms,
            due_ms=24 * HOUR_MS,
        )
        if number > count:
            wish = ClosingWish(verdict=CaseVerdict.LEGITIMATE)
            case = case.closed(Closing(wish=wish, by="ann", at_ms=NOW_MS))
        elif chance.random() < 0.01:
            who = f"analyst-{chance.randrange(20)}"
            case = replace(case, assignee=who, lease_until_ms=NOW_MS + HOUR_MS)
        yield case


FILTERS: dict[str, CaseFilter] = {
    "everything": CaseFilter(),
    "open": CaseFilter(state=CaseState.OPEN),
    "assigned": CaseFilter(state=CaseState.ASSIGNED),
    "closed": CaseFilter(state=CaseState.CLOSED),
    "assignee": CaseFilter(assignee="analyst-7"),
    "assignee, closed": CaseFilter(assignee="nobody", state=CaseState.CLOSED),
    "outcome": CaseFilter(outcome="decline"),
    "rule, common": CaseFilter(rule="common"),
    "rule, rare": CaseFilter(rule="rare"),
    "rule, rare, closed": CaseFilter(rule="rare", state=CaseState.CLOSED),
    "rule, none": CaseFilter(rule="nothing_like_it"),
    "reason, everywhere": CaseFilter(reason="SCORE_HIGH"),
    "reason": CaseFilter(reason="REASON_3"),
    "merchant, large": CaseFilter(merchant="merchant-1"),
    "merchant, small": CaseFilter(merchant="merchant-9001"),
    "amount, rare": CaseFilter(worth_from=400_000),
    "amount, span": CaseFilter(worth_from=2_000, worth_below=2_050),
    "age": CaseFilter(decided_before_ms=NOW_MS - 40 * HOUR_MS),
    "age, span": CaseFilter(
        decided_from_ms=NOW_MS - HOUR_MS, decided_before_ms=NOW_MS - HOUR_MS + 60_000
    ),
    "overdue": CaseFilter(is_overdue=True),
    "in time": CaseFilter(is_overdue=False),
    "tenant, none": CaseFilter(tenant="nobody"),
    "rules and reason": CaseFilter(rule="common", reason="REASON_3"),
    "rare in common": CaseFilter(rule="rare", reason="SCORE_HIGH", outcome="review"),
    "all at once": CaseFilter(
        state=CaseState.OPEN,
        rule="rule_7",
        reason="REASON_3",
        merchant="merchant-1",
        worth_from=5_000,
        is_overdue=True,
    ),
}


@dataclass
class Measured:
    """The database of one kind, and what took how long there."""

    database: Database

    def page(
        self, wanted: CaseFilter, order: CaseOrder, after: CasePlace | None
    ) -> list[CaseView]:
        """One page as the API answers it."""
        with reading(self.database) as work:
            found = work.cases.page(
                wanted, order, at_ms=NOW_MS, after=after, count_max=PAGE + 1
            )
        return [CaseView.of(each, NOW_MS) for each in found[:PAGE]]

    def places(self, wanted: CaseFilter, order: CaseOrder) -> list[CasePlace | None]:
        """Where the first page, one in the middle and the last begin."""
        keys = select(sort_key(order), CASES.c.number).where(*where(wanted, NOW_MS))
        with self.database.reading() as connection:
            every = connection.execute(ordered(keys, order, None)).all()
        at = [len(every) // 2, len(every) - PAGE]
        return [None, *(CasePlace(*every[n]) for n in at if n > 0)]

    def took_ms(self) -> dict[str, float]:
        """The slowest page of each order and filter; each is read several times."""
        slowest: dict[str, float] = {}
        for name, wanted in FILTERS.items():
            for order in CaseOrder:
                for after in self.places(wanted, order):
                    took = min(
                        timed(lambda: self.page(wanted, order, after))  # noqa: B023
                        for _ in range(AGAIN)
                    )
                    key = f"{name} / {order}"
                    slowest[key] = max(slowest.get(key, 0.0), took)
        return slowest

    def yardstick_ms(self) -> float:
        """A page by the primary key alone, as rows."""
        found = select(CASES).where(CASES.c.number > OPEN // 2).order_by(CASES.c.number)

        def scan() -> None:
            with self.database.reading() as connection:
                connection.execute(found.limit(PAGE)).all()

        return min(timed(scan) for _ in range(AGAIN))


def timed(act: Callable[[], object]) -> float:
    """How long something takes, ms."""
    start = perf_counter()
    act()
    return (perf_counter() - start) * 1_000


def filled(database: Database, count: int) -> float:
    """Fill it; how long that took, s."""
    start = perf_counter()
    chunk: list[tuple[Case, bytes]] = []
    for case in made(count):
        chunk.append((case, RAW))
        if len(chunk) == _CHUNK:
            with writing(database) as work:
                work.cases.add_all(chunk)
            chunk = []
    if chunk:
        with writing(database) as work:
            work.cases.add_all(chunk)
    if not database.is_sqlite:  # as its autovacuum does within a minute
        with database.writing() as connection:
            connection.execute(text("ANALYZE"))
    return perf_counter() - start


def measured(kind: str, url: str, count: int) -> dict[str, float]:
    """Fill a database of a kind, and measure it."""
    database = Database(url).migrated()
    took_s = filled(database, count)
    bench = Measured(database)
    slowest = bench.took_ms()
    yardstick = bench.yardstick_ms()
    worst = sorted(slowest, key=slowest.__getitem__, reverse=True)
    print(f"{kind}: {count + count // 5:,} cases written in {took_s:.0f} s", flush=True)
    for key in worst[:12]:
        print(f"  {slowest[key]:7.1f} ms  {key}")
    database.close()
    return {
        f"{kind}_page_ms_max": round(slowest[worst[0]], 1),
        f"{kind}_page_ms_median": round(statistics.median(slowest.values()), 1),
        f"{kind}_over_yardstick": round(slowest[worst[0]] / yardstick, 1),
        f"{kind}_yardstick_ms": round(yardstick, 2),
    }


def main(count: int = OPEN) -> dict[str, float]:
    """Measure both kinds and print; the last line is JSON."""
    found: dict[str, float] = {"cases": count}
    with tempfile.TemporaryDirectory(prefix="scoring-bench-") as scratch:
        found |= measured("sqlite", f"sqlite:///{scratch}/control.db", count)
    cluster = PostgresCluster()
    try:
        cluster.start()
        found |= measured("postgresql", cluster.database(), count)
    finally:
        cluster.close()
    found["limit_ms"] = LIMIT_MS
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else OPEN)
