"""Asks a running service for its health and for one dry-run check; `helm test`.

Usage: ask.py HOST:PORT [CA_FILE [CERT_FILE KEY_FILE]]. Changes nothing: a dry run is
neither counted nor recorded. Ends with status 0 and one line, or with an error.
"""

import sys
import time
import uuid
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scoring.v1 import decision_pb2, fraud_scoring_pb2, fraud_scoring_pb2_grpc

DEADLINE_S = 10.0


def channel_to(target: str, *files: str) -> grpc.Channel:
    """A channel to `target`, by the roots, the certificate and its key, if any."""
    if not files:
        return grpc.insecure_channel(target)
    roots, *own = [Path(file).read_bytes() for file in files]
    certificate, key = own or (None, None)
    credentials = grpc.ssl_channel_credentials(roots, key, certificate)
    return grpc.secure_channel(target, credentials)


def request() -> fraud_scoring_pb2.CheckTransactionRequest:
    """A small purchase of nobody's."""
    asked = fraud_scoring_pb2.CheckTransactionRequest(dry_run=True)
    transaction = asked.transaction
    transaction.id = f"helm-test-{uuid.uuid4()}"
    transaction.occurred_at.FromMilliseconds(time.time_ns() // 1_000_000)
    transaction.amount_minor = 1_250
    transaction.currency = "EUR"
    transaction.card = "helm-test-card"
    transaction.merchant = "helm-test-merchant"
    return asked


def main(target: str, *files: str) -> None:
    """Ask, and say what came."""
    with channel_to(target, *files) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=DEADLINE_S, wait_for_ready=True
        )
        serving = health_pb2.HealthCheckResponse.ServingStatus.Name(health.status)
        if serving != "SERVING":
            sys.exit(f"{target} is {serving}")
        stub = fraud_scoring_pb2_grpc.FraudScoringStub(channel)
        core = stub.CheckTransaction(request(), timeout=DEADLINE_S).decision.core
    outcome = decision_pb2.Outcome.Name(core.outcome)
    rung = decision_pb2.Rung.Name(core.rung)
    sys.stdout.write(f"{target} is {serving}; a dry run says {outcome}, {rung}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
