"""The database by its URL: one engine, its transactions, its migrations."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from scoring.control.database.lacking import lacking
from scoring.errors import BadArtifact, DatabaseUnavailable

_MIGRATIONS = "scoring.control.database:migrations"
_OWNER_ONLY = 0o600
_BUSY_MS = 10_000  # how long one writer waits for another
_WAY_S = 0.05
_CONNECT_S = 10
_CACHE_KB = 32_768  # of SQLite's pages, by connection: a large import writes many
_READ_ONLY = "25006"  # PostgreSQL's code: it stands by, or is being failed over
_LOCK = 0x5C0_21_46  # of migrations, any number that is ours alone
# What SQLite calls operational, and no wait mends; PostgreSQL's is no outage either.
_OTHER_TABLES = ("no such table", "no such column", "has no column named")


class Database:
    """The control plane's database; threads share it.

    Raises `BadArtifact` for a URL that names none.
    """

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _sqlite(self.url) if self.is_sqlite else _postgresql(self.url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        # In SQLite a reader neither waits for a writer nor stops one.
        seeing_one_state: dict[str, Any] = (
            {}
            if self.is_sqlite
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        with self._begun(**seeing_one_state) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at its end, or leaves no trace."""
        with self._begun(writes=True) as connection:
            yield connection

    def give_way(self) -> None:
        """Let others write before what has more to write; blocks for a moment.

        PostgreSQL lets them in their order; SQLite whoever looks first, and who waits
        there looks ten times a second.
        """
        if self.is_sqlite:
            time.sleep(_WAY_S)

    @contextmanager
    def _begun(self, **options: Any) -> Iterator[Connection]:
        with _translated(), self._engine.connect() as connection:
            set_so = connection.execution_options(**options)
            with set_so.begin():
                yield set_so

    def migrated(self) -> Database:
        """Itself, with the tables of this release; blocks while another migrates.

        Raises `BadArtifact` where a newer release has written it, or another version
        that calls its tables the same.
        """
        if self.is_sqlite:
            _own(self.url.database or "")
        config = Config()
        config.set_main_option("script_location", _MIGRATIONS)
        script = ScriptDirectory.from_config(config)
        with self.writing() as connection:
            if not self.is_sqlite:  # SQLite has begun with its one lock of writers
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            found = MigrationContext.configure(connection).get_current_revision()
            known = {each.revision for each in script.walk_revisions()}
            if found is not None and found not in known:
                raise BadArtifact(
                    f"{self.told}: was written by a newer release (its tables are at "
                    f"{found}); run that release, or restore a backup made before it"
                )
            if found != script.get_current_head():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            if lacks := lacking(connection):
                raise BadArtifact(
                    f"{self.told}: was made by another version of this software; it "
                    f"lacks {', '.join(lacks)}. Run the version that made it, restore "
                    "a backup that this one made, or name a new database"
                )
        return self

    @property
    def told(self) -> str:
        """Its URL, without the password."""
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """End every connection."""
        self._engine.dispose()


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadArtifact(
            "the control plane's database: is no URL; write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        import psycopg  # noqa: F401 - where it lacks, the command says what to install

        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise BadArtifact(
        f"the control plane's database: {parsed.drivername}:// names none that is "
        "kept; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def _own(file: str) -> None:
    """Make a new file readable by its owner alone: whoever opens it is an admin."""
    with suppress(OSError):  # there already, or SQLite says what is wrong
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY))


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1_000})
    event.listen(engine, "connect", _as_we_use_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _as_we_use_sqlite(connection: Any, _: object) -> None:
    # The driver would begin transactions by itself, and too late: `_begin` does.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # what was answered outlives a power cut
        "foreign_keys=ON",
        f"cache_size=-{_CACHE_KB}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer takes its lock first: one that has read would fail to, later."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL) -> Engine:
    return create_engine(
        url,
        pool_pre_ping=True,  # a connection that a restart ended is replaced
        connect_args={"connect_timeout": _CONNECT_S},
    )


@contextmanager
def _translated() -> Iterator[None]:
    """What the database's driver raises for an outage, as ours; no mistake is one."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        if any(said in str(error.orig) for said in _OTHER_TABLES):
            raise
        raise DatabaseUnavailable(
            f"the control plane's database does not answer: {_first_line(error)}"
        ) from error
    except InternalError as error:
        if getattr(error.orig, "sqlstate", "") != _READ_ONLY:
            raise
        raise DatabaseUnavailable(
            f"the control plane's database takes no writes: {_first_line(error)}"
        ) from error
    except PoolTimeout as error:
        raise DatabaseUnavailable(
            "every connection to the control plane's database is busy"
        ) from error


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
