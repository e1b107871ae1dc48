"""What somebody adds and forgets a place of: a named test says which.

The package is copied and grown by a field `wallet_type`, a degradation, an event or a
statistic at some of its places; the tests that iterate the declarations are run on the
copy.
"""

import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parents[3]
DECLARATION = Path("scoring/core/transaction/transaction.py")
PROTO = Path("protos/scoring/v1/transaction.proto")
DECLARED = "    wallet_type: Annotated[str, _token(49, Role.CATEGORY)] = "
HELD_BY = Path("tests/unit/core/transaction/test_declared_fields.py")
DECISION = Path("scoring/core/decision/decision.py")
DECISION_PROTO = Path("protos/scoring/v1/decision.proto")
EVENTS = Path("scoring/ports/events.py")
METRICS = Path("tests/unit/telemetry/test_declared_metrics.py")
STATISTIC = Path("scoring/core/features/statistic.py")
SLOT = Path("scoring/core/features/slot.py")
STATISTICS = Path("tests/unit/core/features/test_declared_statistics.py")
PARITY = Path("tests/parity/others.yaml")
DEGRADATIONS = Path("tests/unit/core/decision/test_degradations.py")


@pytest.fixture
def package(tmp_path):
    """A copy of the package and of the tests that iterate the declaration."""
    left_out = ignore_patterns("__pycache__")
    copytree(ROOT / "scoring", tmp_path / "scoring", ignore=left_out)
    copytree(ROOT / "protos", tmp_path / "protos", ignore=left_out)
    for tests in (HELD_BY, DEGRADATIONS, METRICS, STATISTICS, PARITY):
        (tmp_path / tests).parent.mkdir(parents=True)
        copy(ROOT / tests, tmp_path / tests)
    return tmp_path


def declare(package: Path, declared: str = f'{DECLARED}""\n') -> None:
    text = (package / DECLARATION).read_text()
    before, after = text.split("\n\n\nFIELDS = ")
    (package / DECLARATION).write_text(f"{before}\n{declared}\n\nFIELDS = {after}")


def add_to_the_proto(package: Path) -> None:
    """The field, with what `make protos` generates."""
    last = "map<string, double> numbers = 48;\n"
    generate(package, PROTO, last, "  string wallet_type = 49;\n")


def generate(package: Path, proto: Path, last: str, line: str) -> None:
    """Add a line after another, and run `make protos`."""
    add(package, proto, last, line)
    copy(package / proto, package / "scoring" / "v1")
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I", "protos"),
            *("--python_out=.", proto.relative_to("protos").as_posix()),
        ],
        cwd=package,
        check=True,
    )


def add(package: Path, file: Path, last: str, line: str) -> None:
    text = (package / file).read_text()
    assert text.count(last) == 1
    (package / file).write_text(text.replace(last, f"{last}{line}"))


def said_by(package: Path, *command: str) -> str:
    """What a command says on a package; empty where all is well."""
    run = subprocess.run(
        [sys.executable, *command],
        cwd=package,
        capture_output=True,
        check=False,
        timeout=250,
    )
    return (run.stdout + run.stderr).decode() if run.returncode else ""


def complaints(package: Path, held_by: Path = HELD_BY) -> str:
    return said_by(
        package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest",
        "--rootdir", str(package), str(held_by),
    )  # fmt: skip


def test_a_field_is_complete_with_its_declaration_and_its_line_in_the_proto(package):
    declare(package)
    add_to_the_proto(package)
    assert not complaints(package)


def test_a_field_that_is_only_declared_is_missed_in_the_proto(package):
    declare(package)
    told = "wallet_type = 49 is declared but not in scoring.v1.Transaction: add it to"
    assert told in said_by(package, "-c", "import scoring.wire")


def test_a_field_that_is_only_in_the_proto_is_missed_in_the_declaration(package):
    add_to_the_proto(package)
    told = "wallet_type = 49 is in scoring.v1.Transaction but not declared: add it to"
    assert told in said_by(package, "-c", "import scoring.wire")


def test_a_field_of_the_class_that_says_nothing_of_itself_is_no_field(package):
    declare(package, '    wallet_type: str = ""\n')
    told = "wallet_type says nothing of itself"
    assert told in said_by(package, "-c", "import scoring.core.transaction.transaction")


def test_a_part_that_forgets_the_field_is_told_by_name(package):
    declare(package)
    add_to_the_proto(package)
    text = (package / DECLARATION).read_text()
    for derived in ("hasher(FIELDS)", "validator(FIELDS)"):
        assert derived in text
        text = text.replace(derived, derived.replace("FIELDS", "FIELDS[:-1]"))
    (package / DECLARATION).write_text(text)
    told = complaints(package)
    for test in (
        "test_the_payload_hash_covers_the_field",
        "test_a_card_number_in_the_field_is_refused_and_never_repeated",
        "test_a_value_beyond_its_limit_is_refused_by_the_fields_name",
    ):
        assert f"{test}[wallet_type]" in told


LAST_DECLARED = "    HISTORY_AMOUNT_UNKNOWN = 10, Rung.PARTIAL_FEATURES\n"
LAST_TOLD = "  DEGRADATION_CODE_HISTORY_AMOUNT_UNKNOWN = 10;\n"
TOLD = "  // Rates are of the day before.\n  DEGRADATION_CODE_RATES_STALE = 11;\n"


def test_a_degradation_is_complete_with_its_declaration_and_its_line_in_the_proto(
    package,
):
    add(package, DECISION, LAST_DECLARED, "    RATES_STALE = 11, Rung.FULL\n")
    generate(package, DECISION_PROTO, LAST_TOLD, TOLD)
    assert not complaints(package, DEGRADATIONS)


def test_a_degradation_that_says_no_rung_is_none(package):
    add(package, DECISION, LAST_DECLARED, "    RATES_STALE = 11\n")
    told = said_by(package, "-c", "import scoring.core.decision.decision")
    assert "degradation 11 does not say which rung it leaves" in told


def test_a_degradation_that_is_only_in_the_proto_is_missed(package):
    generate(package, DECISION_PROTO, LAST_TOLD, TOLD)
    told = complaints(package, DEGRADATIONS)
    held_by = "test_a_closed_set_has_the_members_of_the_contract[DegradationCode]"
    assert held_by in told
    assert "DEGRADATION_CODE_RATES_STALE" in told


LAST_EVENT = '    STORE_RECOVERED = "store_recovered", "the store has recovered"\n'


def test_an_event_that_does_not_say_what_it_means_is_none(package):
    add(package, EVENTS, LAST_EVENT, '    STORE_SLOW = "store_slow"\n')
    told = said_by(package, "-c", "import scoring.ports.events")
    assert "event 'store_slow' does not say what it means" in told


def test_an_event_that_is_only_declared_or_only_counted_is_named(package):
    add(package, EVENTS, LAST_EVENT, '    STORE_SLOW = "store_slow", "it is slow"\n')
    part = Path("scoring/pipeline/follow_ups.py")
    text = (package / part).read_text()
    count = "self.telemetry.count(Event.LABEL,"
    assert count in text
    undeclared = text.replace(count, 'self.telemetry.count("label_seen",')
    (package / part).write_text(undeclared)
    told = complaints(package, METRICS)
    assert "test_every_declared_event_happens_somewhere[store_slow]" in told
    assert "test_the_page_of_metrics_is_what_the_declarations_say_today" in told
    assert "test_nothing_counts_an_event_by_a_text" in told
    assert "pipeline/follow_ups.py" in told


def test_a_statistic_and_a_reading_are_told_what_they_lack(package):
    first = "STATISTICS: dict[str, Statistic] = {\n"
    entry = '    "range": Statistic(slots=_largest, derive="spread", unit="miles"),\n'
    add(package, STATISTIC, first, entry)
    last = '    FRAUD_TIME = "fraud_time", LABELS\n'
    add(package, SLOT, last, '    MEDIAN = "median"\n    MODE = "mode"\n')
    parts = Path("scoring/stores/redis/script_compiler.py")
    add(package, parts, '    Op.DISTINCT: "distincts",\n', '    Op.MODE: "others",\n')
    told = complaints(package, STATISTICS)
    for lacking in (
        "add 'spread' to FORMULAS",
        "test_a_statistic_has_a_unit_whose_bounds_are_known[range]",
        "compared by no parity test: ['range']",
        "add MEDIAN to READERS of reference.py",
        "add MEDIAN to WINDOWS of offline/sql.py or FOLDS of folds.py",
        "add MEDIAN to PARTS of script_compiler.py",
        "windows.lua does not read OP_MODE",
    ):
        assert lacking in told


def test_a_kind_of_column_is_told_which_engine_lacks_it(package):
    last = (
        '    UNUSUAL = "unusual"  # running count of events far above the own normal\n'
    )
    add(package, SLOT, last, '    MIN = "min"\n')
    told = complaints(package, STATISTICS)
    assert "add MIN to COLUMNS of stores/redis/formats.py" in told
    assert "test_the_offline_engine_has_the_sql_of_a_column[min]" in told
