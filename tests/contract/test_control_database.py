"""The control plane's database: its tables, its writers, its audit, on both engines."""

import json
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from control_parts import ANN, BOB, EVE, ControlBench, text
from sqlalchemy import delete, event, inspect, update
from sqlalchemy import text as sql
from sqlalchemy.exc import DatabaseError

from scoring.control.database import migrations
from scoring.control.database.database import Database, _translated
from scoring.control.database.outbox import ControlOutbox
from scoring.control.database.tables import AUDIT, METADATA
from scoring.control.database.unit_of_work import reading, writing
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.people import By, Doing
from scoring.errors import BadArtifact, ChangedMeanwhile, DatabaseUnavailable

_STANDS_BY = "SET TRANSACTION READ ONLY"
VERSIONS = Path(migrations.__file__).parent / "versions"


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


def test_the_migrations_make_the_tables_that_the_code_declares(control_database):
    with control_database.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == []


@pytest.fixture
def declared_database(control_database, tmp_path, request):
    """A database of the same engine that holds what the code declares, made at once."""
    if control_database.is_sqlite:
        url = f"sqlite:///{tmp_path / 'declared.db'}"
    else:
        url = request.getfixturevalue("postgres").database()
    database = Database(url)
    with database.writing() as connection:
        METADATA.create_all(connection)
    yield database
    database.close()


def test_migrations_and_the_code_agree_on_keys_checks_collations_and_storage(
    control_database, declared_database
):
    migrated = shape_of(control_database)
    assert migrated.pop("alembic_version")
    assert migrated == shape_of(declared_database)


def test_no_migration_reads_the_tables_that_a_later_release_changes():
    files = list(VERSIONS.glob("*.py"))
    assert len(files) > 3
    for file in files:
        assert "control.database" not in file.read_text(), file.name


def shape_of(database):
    """Every table as the engine itself tells of it, in no order of its own."""
    with database.reading() as connection:
        inspector = inspect(connection)
        return {
            table: {
                "columns": told(inspector.get_columns(table)),
                "key": told([inspector.get_pk_constraint(table)]),
                "foreign": told(inspector.get_foreign_keys(table)),
                "unique": told(inspector.get_unique_constraints(table)),
                "checks": told(inspector.get_check_constraints(table)),
                "indexes": told(inspector.get_indexes(table)),
                "options": told([inspector.get_table_options(table)]),
            }
            for table in inspector.get_table_names()
        }


def told(parts):
    return sorted(str(sorted(each_told(part).items())) for part in parts)


def each_told(part):
    """Its values as texts; a clause of SQL says its text only so."""
    return {
        name: each_told(value) if isinstance(value, dict) else str(value)
        for name, value in part.items()
    }


def test_what_a_newer_release_has_written_is_refused_with_what_to_do(control_database):
    with control_database.writing() as connection:
        connection.execute(sql("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BadArtifact, match="written by a newer release"):
        control_database.migrated()


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ("DROP TABLE case_tags", "case_tags"),
        (
            "ALTER TABLE backtest_jobs RENAME COLUMN stage TO phase",
            "backtest_jobs.stage",
        ),
    ],
)
def test_tables_of_another_version_are_refused_at_the_start_with_what_to_do(
    control_database, change, lacks
):
    with control_database.writing() as connection:
        connection.execute(sql(change))
    with pytest.raises(BadArtifact, match=f"lacks {lacks}. Run the version that made"):
        control_database.migrated()


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT * FROM never_made",
        "SELECT never_made FROM heads",
        "INSERT INTO heads (never_made) VALUES (1)",
    ],
)
def test_a_table_or_column_that_lacks_is_no_outage(control_database, asked):
    with (
        pytest.raises(DatabaseError, match="never_made"),
        control_database.writing() as connection,
    ):
        connection.execute(sql(asked))


def test_two_copies_that_start_at_once_migrate_once(tmp_path, postgres):
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgres.database()):
        databases = [Database(url) for _ in range(3)]
        failures = in_threads([database.migrated for database in databases])
        assert failures == []
        for database in databases:
            database.close()


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///:memory:", "mysql://h/d", "no url"]
)
def test_what_is_no_database_of_ours_is_refused_with_what_to_write(url):
    with pytest.raises(BadArtifact, match="sqlite:///FILE or"):
        Database(url)


def test_a_database_that_does_not_answer_is_an_outage_that_hides_the_password(tmp_path):
    url = f"postgresql://ann:secret@/d?host={tmp_path}"
    with pytest.raises(DatabaseUnavailable) as raised:
        Database(url).migrated()
    assert "secret" not in str(raised.value)
    assert "secret" not in Database(url).told


def test_a_database_that_takes_no_writes_is_an_outage(control_database):
    only = "PRAGMA query_only=ON" if control_database.is_sqlite else _STANDS_BY
    with writing(control_database) as work:
        work.connection.exec_driver_sql(only)
        with pytest.raises(DatabaseUnavailable), _translated():
            work.outbox.add("key", b"value")


def test_a_database_whose_connections_are_all_busy_is_an_outage(
    control_database, monkeypatch
):
    monkeypatch.setattr(control_database._engine.pool, "_timeout", 0.01)
    with ExitStack() as busy:

        def take_all():
            while True:
                busy.enter_context(control_database.reading())

        with pytest.raises(DatabaseUnavailable, match="is busy"):
            take_all()


def test_exports_that_are_read_slowly_keep_nobody_from_the_database(bench, monkeypatch):
    monkeypatch.setattr(bench.database._engine.pool, "_timeout", 0.01)
    monkeypatch.setattr("scoring.control.desks.audit_desk._EXPORTED_MAX", 2)
    bench.released(1)
    desk = AuditDesk(bench.database)
    exports = [desk.export(EVE) for _ in range(20)]
    begun = [next(export) for export in exports]
    assert len(desk.entries(EVE)) == len([begun[0], *exports[0]]) > 2


def test_what_waits_is_found_however_much_was_published(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    with database.reading() as connection:
        asked = []
        event.listen(
            connection, "before_cursor_execute", lambda *said: asked.append(said[2:4])
        )
        outbox = ControlOutbox(connection)
        outbox.unpublished(count_max=64)
        outbox.waiting()
        for statement, values in asked[:2]:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            assert "ix_outbox_new" in str(plan.all()), statement
    database.close()


def test_a_unit_of_work_that_fails_leaves_no_trace(bench):
    bench.released(1)
    before = bench.audit(), bench.outbox()
    with pytest.raises(ZeroDivisionError):
        write_and_fail(bench.database)
    assert (bench.audit(), bench.outbox()) == before


def write_and_fail(database):
    with writing(database) as work:
        work.audit.record(Change(action="x", subject="y"), Doing(ANN, 1))
        work.outbox.add("key", b"value")
        work.policies.add(replace(work.policies.policy(1), number=99))
        raise ZeroDivisionError


def in_threads(actions):
    """What the actions raise, all begun at once."""
    failures, ready = [], threading.Barrier(len(actions))

    def one(action):
        ready.wait()
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test judges it
            failures.append(error)

    threads = [threading.Thread(target=one, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_writers_at_once_leave_one_chain_and_rising_sequences(bench):
    def drafts(who):
        desk = ControlBench(Database(bench.database.url)).desk
        return lambda: [desk.draft(By(who), text(n)) for n in range(8)]

    assert in_threads([drafts(who) for who in (ANN, ANN, ANN, ANN)]) == []
    verdict = AuditDesk(bench.database).verify(EVE)
    assert verdict.problems == ()
    assert verdict.head.sequence == 32


def test_of_editors_at_once_one_is_taken_and_the_others_learn_of_it(bench):
    bench.desk.draft(By(ANN), text(0))
    edits = [
        lambda n=n: bench.desk.edit(By(ANN), 1, text(n), revision=1) for n in range(4)
    ]
    failures = in_threads(edits)
    assert len(failures) == 3
    assert {type(error) for error in failures} == {ChangedMeanwhile}


def test_one_approval_releases_once_however_many_use_it_at_once(bench):
    number = bench.approved(1).policy.number
    failures = in_threads([lambda: bench.desk.release(By(BOB), number)] * 4)
    assert len(failures) == 3
    with reading(bench.database) as work:
        assert len(work.policies.releases()) == 1


def test_a_reader_sees_one_state_while_others_write(bench):
    bench.released(1)
    with reading(bench.database) as work:
        before = list(work.audit.entries())
        bench.released(2)
        assert list(work.audit.entries()) == before
        assert work.policies.in_force().number == 1


@pytest.mark.parametrize("change", [delete(AUDIT), update(AUDIT).values(why="x")])
def test_the_database_itself_refuses_to_change_the_audit(bench, change):
    bench.released(1)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        writing(bench.database) as work,
    ):
        work.connection.execute(change)


def test_the_audit_says_who_what_from_where_and_why_and_is_exported_as_it_was_hashed(
    bench,
):
    bench.released(1)
    lines = list(AuditDesk(bench.database).export(EVE))
    assert [json.loads(line)["action"] for line in lines] == [
        "policy.draft",
        "policy.propose",
        "policy.approve",
        "policy.release",
    ]
    last = json.loads(lines[-1])
    assert (last["person"], last["origin"], last["why"]) == (
        "bob",
        "of a test",
        "text 1",
    )
    assert json.loads(last["after"])["release"] == 1


def test_a_new_database_is_its_owners_alone(tmp_path):
    file = tmp_path / "control.db"
    database = Database(f"sqlite:///{file}").migrated()
    with database.writing() as connection:
        kept = [file, *tmp_path.glob("control.db-*")]
        assert len(kept) > 1
        assert {each.stat().st_mode & 0o777 for each in kept} == {0o600}
        assert connection
    database.close()
