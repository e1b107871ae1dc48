"""Steady load on a running service: whether it keeps its promise for a while.

    python -m load_tests.steady 127.0.0.1:50051 --per-s 300 --seconds 60

Open loop, Poisson arrivals, latency from the intended moment of sending. Ends with
one line of JSON, and with a status other than 0 where the objective was missed or
the generator itself was late.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

import grpc
import uvloop

from load_tests.open_loop import open_loop
from load_tests.traffic import Traffic
from scoring.v1.decision_pb2 import Outcome, Rung
from scoring.v1.fraud_scoring_pb2 import (
    CheckTransactionRequest,
    CheckTransactionResponse,
)

_METHOD = "/scoring.v1.FraudScoring/CheckTransaction"
_BREACH, _VOID = 1, 3


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("address", help="host:port of the service")
    parser.add_argument("--per-s", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--deadline-ms", type=float, default=50.0)
    parser.add_argument("--p99-ms-max", type=float, default=25.0)
    parser.add_argument("--miss-share-max", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--void-is-success", action="store_true", help="a busy machine is no breach"
    )
    return parser.parse_args()


async def drive(told: argparse.Namespace) -> dict[str, object]:
    """Send, and judge what came back."""
    channels = [
        grpc.aio.insecure_channel(told.address, [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(told.connections)
    ]
    methods = [channel.unary_unary(_METHOD) for channel in channels]
    traffic = Traffic(told.seed)
    outcomes: Counter[str] = Counter()
    degraded = 0

    async def call(index: int) -> str:
        nonlocal degraded
        request = CheckTransactionRequest(transaction=traffic.next())
        try:
            raw = await methods[index % len(methods)](
                request.SerializeToString(), timeout=told.deadline_ms / 1e3
            )
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        core = CheckTransactionResponse.FromString(raw).decision.core
        outcomes[Outcome.Name(core.outcome)] += 1
        degraded += core.rung != Rung.RUNG_FULL
        return "OK"

    run = await open_loop(call, per_s=told.per_s, seconds=told.seconds, seed=told.seed)
    for channel in channels:
        await channel.close()
    summary: dict[str, object] = dict(run.summary())
    missed = sum(run.statuses.values()) - run.statuses["OK"]
    share = missed / max(sum(run.statuses.values()), 1)
    summary |= {
        "missed_share": share,
        "degraded": degraded,
        "outcomes": dict(outcomes),
        "breached": share > told.miss_share_max
        or float(str(summary["p99_ms"])) > told.p99_ms_max,
        "date": time.strftime("%Y-%m-%d"),
    }
    return summary


def main() -> int:
    """Run once; the exit status says whether the objective held."""
    told = arguments()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(drive(told))
    print(json.dumps(found))
    if found["void"] and not told.void_is_success:
        print("void: the generator was late; use a quieter machine", file=sys.stderr)
        return _VOID
    return _BREACH if found["breached"] else 0


if __name__ == "__main__":
    sys.exit(main())
