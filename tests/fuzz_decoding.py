"""Coverage-guided fuzzing of all that reads bytes from outside, by atheris.

`python tests/fuzz_decoding.py -runs=1000000` (libFuzzer's options). Whatever comes is
accepted or refused by an error that has a status and a dead letter; anything else ends
the run with the input that did it.
"""

import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import atheris
from google.protobuf import json_format

with atheris.instrument_imports(include=["scoring"]):
    from scoring import wire
    from scoring.doors.calls.refusals import refusal_of
    from scoring.doors.calls.requests import Caller, Intake
    from scoring.doors.stream.dead_letters import is_refusal, letter_record
    from scoring.doors.stream.records import KafkaIntake
    from scoring.errors import ScoringError
    from scoring.telemetry.prometheus import SilentTelemetry
    from scoring.v1 import fraud_scoring_pb2 as calls
    from scoring.v1.transaction_pb2 import Label, Transaction

NOW_MS = 1_750_000_000_000
BYTES_MAX = 10_000
GRPC_DOOR, TRANSACTIONS, LABELS = range(3)
PRECISE = {
    "INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND", "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
}  # fmt: skip
GRPC = Intake(
    budget_s=1.0,
    skew_ms=300_000,
    exempt=frozenset(),
    now_ms=lambda: NOW_MS,
    monotonic=time.monotonic,
)
KAFKA = KafkaIntake(
    message_bytes_max=BYTES_MAX,
    skew_ms=300_000,
    exempt=frozenset(),
    telemetry=SilentTelemetry(),
)
CALLER = Caller(deadline=1e12)
HEADERS = ("content-type", "traceparent", "src", "x", "4111111111111111")
TYPES = (wire.PROTOBUF, wire.JSON, "text/plain", "application/json; charset=utf-8")


def grpc_check(data):
    """A call's bytes: a Check, or a status that says it is the caller's mistake."""
    try:
        request = wire.message_from_bytes(
            data.ConsumeBytes(BYTES_MAX), calls.CheckTransactionRequest, wire.PROTOBUF
        )
        wire.refuse_unknown_fields(request)
        GRPC.check(request.transaction, CALLER)
    except ScoringError as error:
        refusal = refusal_of(error)
        assert refusal.code.name in PRECISE
        assert refusal.message


def kafka_record(data):
    """Any record that a broker could hand over."""
    names = [
        HEADERS[data.ConsumeIntInRange(0, len(HEADERS) - 1)]
        for _ in range(data.ConsumeIntInRange(0, 3))
    ]
    kinds = [*(name.encode() for name in TYPES), None]
    headers = [
        (
            name,
            kinds[data.ConsumeIntInRange(0, len(kinds) - 1)]
            if data.ConsumeBool()
            else data.ConsumeBytes(60),
        )
        for name in names
    ]
    return SimpleNamespace(
        topic="transactions",
        partition=data.ConsumeIntInRange(0, 9),
        offset=data.ConsumeIntInRange(0, 2**63 - 1),
        # The producer's own clock, whatever it says.
        timestamp=(
            NOW_MS if data.ConsumeBool() else data.ConsumeIntInRange(-1, 2**63 - 1)
        ),
        key=None if data.ConsumeBool() else data.ConsumeBytes(30),
        headers=tuple(headers),
        value=data.ConsumeBytes(BYTES_MAX) if data.ConsumeIntInRange(0, 15) else None,
    )


def kafka(data, admit):
    """A record: admitted, or a dead letter in both of its encodings."""
    record = kafka_record(data)
    try:
        admit(record)
    except ScoringError as error:
        if not is_refusal(error):
            raise
        for content_type in (wire.PROTOBUF, wire.JSON):
            letter_record(record, error, topic="dead", content_type=content_type)


def one(raw):
    data = atheris.FuzzedDataProvider(raw)
    door = data.ConsumeIntInRange(GRPC_DOOR, LABELS)
    if door == GRPC_DOOR:
        grpc_check(data)
    else:
        kafka(data, KAFKA.check if door == TRANSACTIONS else KAFKA.label)


def seeds(directory):
    """Inputs to begin from: a good message of each kind."""
    transaction = Transaction(id="t1", amount_minor=5, currency="EUR", card="card-1")
    transaction.occurred_at.FromMilliseconds(NOW_MS)
    label = Label(transaction_id="t1", version=1, verdict=1, transaction=transaction)
    label.known_at.FromMilliseconds(NOW_MS)
    request = calls.CheckTransactionRequest(transaction=transaction)
    good = {GRPC_DOOR: request, TRANSACTIONS: transaction, LABELS: label}
    for door, message in good.items():
        text = json_format.MessageToJson(message, indent=None).encode()
        for name, value in (("bytes", message.SerializeToString()), ("json", text)):
            (directory / f"{door}-{name}").write_bytes(value + tail(door))


def tail(door):
    """Choices are read from the end of an input; these lead a value to its door."""
    here = bytes([door])
    if door == GRPC_DOOR:
        return here
    value, key, clock, headers, partition, offset = (
        b"\1",
        b"\1",
        b"\1",
        b"\0",
        b"\0",
        bytes(8),
    )
    return value + key + clock + offset + partition + headers + here


def main():
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        atheris.Setup([*sys.argv, corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
