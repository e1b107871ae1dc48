"""A PostgreSQL of its own, in a temporary folder, reached by a socket alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

_START_S = 60
_OWNER = "postgres"


class PostgresCluster:
    """A server; `sigkill` and `start` again as a machine would lose it.

    It refuses to run as root, so that root starts it as the user of Debian's package.
    """

    def __init__(self) -> None:
        # A socket's path is short, so it is not below pytest's own folder.
        self.root = Path(tempfile.mkdtemp(prefix="pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.root, _OWNER, _OWNER)
        self._databases = 0
        options = ("--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        self._run("initdb", "-D", str(self._data), "-U", _OWNER, *options)

    @property
    def _data(self) -> Path:
        return self.root / "data"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *_command("postgres"),
                *("-D", str(self._data), "-k", str(self.root)),
                *("-c", "listen_addresses=", "-c", "fsync=off"),
                *("-c", "max_connections=60", "-c", "shared_buffers=32MB"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=(self.root / "log").open("ab"),
            start_new_session=True,
        )
        ends = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self._dsn("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.root / "log").read_text()
                assert time.monotonic() < ends, "PostgreSQL did not start"
                time.sleep(0.05)
            else:
                return

    def sigkill(self) -> None:
        """End the server and its workers at once, as a lost machine would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def database(self, template: str = "template0") -> str:
        """The URL of a new database, a copy of a template."""
        self._databases += 1
        name = f"of_test_{self._databases}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
        return f"postgresql://{_OWNER}@/{name}?host={self.root}"

    def close(self) -> None:
        """End it and remove what it wrote."""
        self.sigkill()
        shutil.rmtree(self.root, ignore_errors=True)

    def _dsn(self, database: str) -> str:
        return f"host={self.root} user={_OWNER} dbname={database}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*_command(program), *arguments], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def _command(program: str) -> list[str]:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    path = str(found[-1]) if found else shutil.which(program)
    assert path, "PostgreSQL is missing: .ci/tools brings it"
    # A test that is killed leaves no server behind: it ends with its parent.
    as_child = ["setpriv", "--pdeathsig=KILL"]
    if os.geteuid() == 0:
        as_child += [f"--reuid={_OWNER}", f"--regid={_OWNER}", "--clear-groups"]
    return [*as_child, path]
