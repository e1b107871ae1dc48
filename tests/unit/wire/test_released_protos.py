"""Callers of the last release keep working: the protos may grow, never break."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scoring.v1 import transaction_pb2

ROOT = Path(__file__).resolve().parents[3]
PROTOS = ROOT / "protos"
BUF = Path(sys.executable).with_name("buf")


def breaking(protos: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUF, "breaking", protos, "--against", PROTOS / "released.binpb"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def changed(tmp_path):
    """A copy of the protos, to be edited."""
    copy = tmp_path / "protos"
    shutil.copytree(PROTOS, copy)

    def change(old: str, new: str, file: str = "transaction.proto") -> Path:
        path = copy / "scoring" / "v1" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return copy

    return change


def test_todays_protos_break_no_caller_of_the_last_release():
    done = breaking(PROTOS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_new_field_breaks_nobody(changed):
    protos = changed("string tenant = 1;", "string tenant = 1;\n  string late = 999;")
    assert breaking(protos).returncode == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("string tenant = 1;", "string owner = 1;"),
        ("string currency = 7;", "bytes currency = 7;"),
        ("int64 amount_minor = 6;", "int64 amount_minor = 996;"),
        ("optional int64 amount_minor = 6;", "repeated int64 amount_minor = 6;"),
        ("map<string, string> attributes = 20;", "string attributes = 20;"),
        ("CHANNEL_ATM = 3;", "CHANNEL_ATM = 993;"),
    ],
)
def test_a_change_that_breaks_a_caller_is_refused(changed, old, new):
    done = breaking(changed(old, new))
    assert done.returncode != 0
    assert "transaction.proto" in done.stdout


def test_a_removed_call_is_refused(changed):
    call = "rpc ReportLabels(ReportLabelsRequest) returns (ReportLabelsResponse);"
    assert breaking(changed(call, "", "fraud_scoring.proto")).returncode != 0


def test_a_part_of_zero_is_not_a_part_that_was_left_out():
    part = transaction_pb2.LifecycleEvent(transaction_id="t", amount_minor=0)
    read = transaction_pb2.LifecycleEvent.FromString(part.SerializeToString())
    assert read.HasField("amount_minor")
    assert not transaction_pb2.LifecycleEvent().HasField("amount_minor")
