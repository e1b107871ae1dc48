"""A list of a million tokens: the import, its undo, and until the last process decides.

The yardstick of the import is the plain bulk insert of the same rows, by the same
driver, into a table with the same key. Effect is from the API's answer to a decision in
the last of PROCESSES, over Apache Kafka and a control plane on SQLite.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from control_served import ControlServed, control_serving  # noqa: E402
from kafka_cluster import kafka_cluster  # noqa: E402
from postgres_cluster import PostgresCluster  # noqa: E402
from release_parts import Control  # noqa: E402

from scoring.control.database.database import Database  # noqa: E402
from scoring.control.desks.list_desk import FileWish, ListDesk  # noqa: E402
from scoring.control.domain.entry_columns import EntryRow  # noqa: E402
from scoring.control.domain.list_file import ListFile  # noqa: E402
from scoring.control.domain.people import By, Person, PersonRole  # noqa: E402

ENTRIES = int(os.environ.get("SCORING_LISTS_ENTRIES", "1000000"))
PROCESSES, CHANGES = 4, 10
NAME = "stolen"
WHO = By(Person("bench", frozenset({PersonRole.ADMIN}), "bench"), "measured")
COLUMNS = "token, hash, until_ms, reason"
TABLE = (
    "CREATE TABLE yardstick (of_import BIGINT, token VARCHAR(256), hash BIGINT, "
    "until_ms BIGINT, reason TEXT, PRIMARY KEY (of_import, token))"
)


def a_file() -> str:
    """So many tokens; a third expires, half have a reason."""
    chance = random.Random(1)
    lines = (
        f"tok_{chance.getrandbits(80):020x},"
        f"{'2027-03-01T12:00:00Z' if n % 3 == 0 else ''},{'police' if n % 2 else ''}"
        for n in range(ENTRIES)
    )
    return "token,expires,reason\n" + "\n".join(lines) + "\n"


def on_a_database(url: str, content: bytes) -> dict[str, float]:
    """Seconds of an import at the desk, and of its yardstick."""
    database = Database(url).migrated()
    desk = ListDesk(database, lambda: time.time_ns() // 1_000_000)
    desk.create(WHO, NAME, kind="block", field="card")
    lines = content.splitlines(keepends=True)
    clock = Clock()
    read = desk.read_file(WHO, NAME, FileWish(source="bench.csv"), lines)
    dry_run_s = clock.lap()
    desk.apply(WHO, NAME, read.number)
    apply_s = clock.lap()
    desk.undo(WHO, NAME, read.number)
    undo_s = clock.lap()
    rows = ListFile("bench.csv", "card").entries(lines, lambda _: None)
    clock.lap()
    _insert(database, rows)
    yardstick_s = clock.lap()
    database.close()
    return {
        "import_s": dry_run_s + apply_s,
        "dry_run_s": dry_run_s,
        "undo_s": undo_s,
        "yardstick_s": yardstick_s,
    }


class Clock:
    """Seconds since it was last looked at."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def lap(self) -> float:
        """Those seconds."""
        before, self._at = self._at, time.monotonic()
        return self._at - before


def _insert(database: Database, rows: list[EntryRow]) -> None:
    """The same rows, as plainly as the driver takes them."""
    with database.writing() as connection:
        connection.execute(text(TABLE))
        if database.is_sqlite:
            insert = "INSERT INTO yardstick VALUES (1, ?, ?, ?, ?)"
            connection.exec_driver_sql(insert, rows)
            return
        copy = f"COPY yardstick (of_import, {COLUMNS}) FROM STDIN"
        with connection.connection.cursor() as cursor, cursor.copy(copy) as copying:
            for row in rows:
                copying.write_row((1, *row))


class Follower:
    """A process of the data plane."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.lists_follow", bootstrap]
        self.process = subprocess.Popen(
            [*command, "control", str(directory), NAME],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, token: str) -> None:
        """Let it tell of this token, now and after each change."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{token}\n")
        self.process.stdin.flush()

    def until(self, **wanted: Any) -> dict[str, Any]:
        """What it told first that is as wanted."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                told: dict[str, Any] = json.loads(line)
                if wanted.items() <= told.items():
                    return told
        raise SystemExit("a process of the data plane has ended")


@contextmanager
def installation(home: Path) -> Iterator[tuple[ControlServed, list[Follower]]]:
    """Apache Kafka, a control plane on SQLite, and processes that follow it."""
    for name in ("kafka", "control", "data"):
        (home / name).mkdir()
    with kafka_cluster(home / "kafka") as cluster:
        asyncio.run(Control(cluster.bootstrap, "control").create())
        settings = {
            "kafka_bootstrap": cluster.bootstrap,
            "control_database_url": f"sqlite:///{home}/control.db",
        }
        with control_serving(home / "control", **settings) as control:
            wish = {"name": NAME, "kind": "block", "field": "card"}
            assert control.ask("POST", "/v1/lists", wish).status == 201
            # They share a directory, as the workers of one machine do.
            followers = [
                Follower(cluster.bootstrap, home / "data") for _ in range(PROCESSES)
            ]
            try:
                yield control, followers
            finally:
                for follower in followers:
                    follower.process.kill()
                    follower.process.wait()


def in_effect(content: str) -> dict[str, float]:
    """Seconds until the last process decides by an import, and by one entry."""
    path = f"/v1/lists/{NAME}"
    with (
        tempfile.TemporaryDirectory(prefix="lists-") as folder,
        installation(Path(folder)) as (control, followers),
    ):
        for follower in followers:
            follower.ask("ready")
            follower.until(token="ready")  # noqa: S106 - a token of a list
        clock = Clock()
        body = {"source": "bench.csv", "content": content, "wait_s": 0}
        read = _ended(control, control.ask("POST", f"{path}/imports", body).json)
        number, first = read["number"], content.split("\n", 2)[1].partition(",")[0]
        for follower in followers:
            follower.ask(first)
        of_it = f"{path}/imports/{number}/application"
        _ended(control, control.ask("POST", of_it, {"wait_s": 30}).json)
        answered = time.monotonic()
        http_s = clock.lap()
        seen = [each.until(token=first, declined=True)["at"] for each in followers]
        changes = [_changed(control, followers, n) for n in range(CHANGES)]
        for follower in followers:
            follower.ask("figures")
        figures = [each.until(token="figures") for each in followers]  # noqa: S106
    return {
        "http_import_s": http_s,
        "import_effect_s": max(seen) - answered,
        "change_effect_s": max(changes),
        "private_mb": max(each["private_mb"] for each in figures),
        "look_up_us": min(each["look_up_us"] for each in figures),
    }


def _ended(control: ControlServed, told: dict[str, Any]) -> dict[str, Any]:
    while told["running"]:
        time.sleep(0.05)
        path = f"/v1/lists/{NAME}/imports/{told['number']}"
        told = control.ask("GET", path).json
    if told["problems"]:
        raise SystemExit("\n".join(told["problems"]))
    return told


def _changed(control: ControlServed, followers: list[Follower], n: int) -> float:
    """Seconds from the answer of one new entry to the last process's decision."""
    token = f"changed-{n}"
    for follower in followers:
        follower.ask(token)
        follower.until(token=token, declined=False)
    reply = control.ask("POST", f"/v1/lists/{NAME}/entries", {"token": token})
    answered = time.monotonic()
    assert reply.status == 200, reply.body
    seen = [each.until(token=token, declined=True)["at"] for each in followers]
    return max(seen) - answered


def measure() -> dict[str, float]:
    """All figures, by name."""
    content = a_file()
    with tempfile.TemporaryDirectory(prefix="lists-") as folder:
        found = on_a_database(f"sqlite:///{folder}/control.db", content.encode())
    figures = {f"sqlite_{name}": seconds for name, seconds in found.items()}
    postgres = PostgresCluster()
    try:
        postgres.start()
        found = on_a_database(postgres.database(), content.encode())
    finally:
        postgres.close()
    figures |= {f"postgresql_{name}": seconds for name, seconds in found.items()}
    return figures | in_effect(content)


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    figures = measure()
    table = Table(title=f"a list of {ENTRIES:,} entries, {PROCESSES} processes")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for name, figure in figures.items():
        table.add_row(name, f"{figure:.2f}")
    Console().print(table)
    print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
