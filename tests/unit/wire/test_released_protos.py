"""Callers of the last release keep working: the protos may grow, never break."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scoring.core.transaction.transaction import FIELDS
from scoring.v1 import decision_pb2, fraud_scoring_pb2, transaction_pb2

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
        ("optional double latitude = 1;", "double north = 1;"),
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


# Left out they read as their zero: it means "not said", or their writer always says
# them. Any other number needs `optional`.
ZERO_IS_NOT_SAID = {
    "Transaction.attempt": "attempts count from 1",
    **{f"Transaction.{f.name}": "unspecified" for f in FIELDS if f.members},
    "Label.version": "versions count from 1; 0 is refused",
    "Label.verdict": "unspecified; refused",
    "Label.source": "unspecified",
    "LifecycleEvent.kind": "unspecified; refused",
    "LifecycleEvent.three_ds_result": "unspecified",
    "StreamCheckTransactionsRequest.budget_ms": "no time at all decides nothing",
    "CheckTransactionRequest.dry_run": "a switch, off",
    "BatchCheckTransactionsRequest.dry_run": "a switch, off",
    "StreamCheckTransactionsRequest.dry_run": "a switch, off",
    "CheckError.retry_after_ms": "nobody asks for a retry at once",
    "Reason.contribution": "a group that added nothing is no reason",
    "DecisionTrace.processed_seq": "the store counts from 1",
    "DecisionTrace.attempt": "attempts count from 1",
    "Versions.lists": "revisions count from 1",
    "DecisionTrace.incarnation": "0 is never made of a topic's id",
}
WRITTEN_BY_US = (
    "CheckError.code", "Degradation.code", "Velocity.observed", "Velocity.limit",
    "Velocity.exact", "Reason.source", "RuleHit.outcome", "RuleHit.mode",
    "RuleHit.unknown", "RuleHit.case", "DecisionCore.outcome",
    "DecisionCore.provisional", "DecisionCore.rung", "DecisionCore.target",
    "DecisionCore.second_look", "DecisionCore.arm", "ShadowOutcome.outcome",
    "DecisionTrace.door", "DecisionTrace.batch_size", "StageTiming.duration_us",
    "FeatureContribution.value", "FeatureContribution.contribution",
    "ExplainDecisionResponse.base", "DeadLetter.reason", "DeadLetter.partition",
    "DeadLetter.offset", "DeadLetter.value_size_bytes", "DeadLetter.masked",
)  # fmt: skip


def test_no_zero_of_the_contract_can_be_taken_for_what_was_left_out():
    """When this fails: write `optional` before the field, or say why its 0 is none."""
    found = {
        f"{message.name}.{field.name}"
        for file in (decision_pb2, fraud_scoring_pb2, transaction_pb2)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if not field.has_presence
        and not field.is_repeated
        and field.cpp_type != field.CPPTYPE_STRING
    }
    assert found == {*ZERO_IS_NOT_SAID, *WRITTEN_BY_US}


def test_a_part_of_zero_is_not_a_part_that_was_left_out():
    part = transaction_pb2.LifecycleEvent(transaction_id="t", amount_minor=0)
    read = transaction_pb2.LifecycleEvent.FromString(part.SerializeToString())
    assert read.HasField("amount_minor")
    assert not transaction_pb2.LifecycleEvent().HasField("amount_minor")
