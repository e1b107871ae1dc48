"""One process of the data plane that follows lists: what it sees, a line each.

`python -m benchmarks.lists_follow BOOTSTRAP TOPIC DIRECTORY LIST`. With each line comes
the clock that all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.transaction.transaction import Transaction
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper
from scoring.releases.control_topic import ControlTopic
from scoring.releases.follower import ReleaseFollower
from scoring.releases.policy_registry import PolicyRegistry
from scoring.releases.release_keeper import ReleaseKeeper

CATALOGUE = default_catalogue()
TEXT = """\
version: 1
name: lists
thresholds: {{default: {{decline: 0.5}}}}
lists:
  {name}: {{field: card, then: decline, reason_code: BLOCKED, managed: true}}
default: {{outcome: review, reason_code: NO_SCORE}}
reasons:
  BLOCKED: The card is blocked here.
  NO_SCORE: The payment could not be scored.
  NO_RISK_FOUND: Nothing speaks against the payment.
"""
LOOK_UPS = 20_000


def policy(name: str) -> Policy:
    """A policy that declines what the list holds."""
    return load_policy(TEXT.format(name=name), catalogue=CATALOGUE, name="lists")


def declines(held: Policy, token: str) -> bool:
    """Whether a payment with this card is declined."""
    paid = Transaction(
        "shop", "t", occurred_at_ms=1_800_000_000_000, amount_minor=100, currency="EUR",
        card=token,
    )  # fmt: skip
    core = decide(
        paid, b"h", policy=held, evidence=Evidence(vector=None, probability=0.01)
    )
    return core.outcome is Outcome.DECLINE


def memory_kb(kind: str) -> int:
    """Of this process's memory, by a line of /proc."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind))


def private_kb() -> int:
    """What no other process shares."""
    return memory_kb("Private_Dirty:")


def look_up_us(get: Callable[[str], int], tokens: list[str]) -> float:
    """The cost of a look-up, of tokens that are on no list."""
    began = time.process_time()
    for token in tokens:
        get(token)
    return (time.process_time() - began) / len(tokens) * 1e6


async def follow(bootstrap: str, topic: str, directory: Path, name: str) -> None:
    """Follow until killed; commands come by the standard input, a token a line."""
    registry = PolicyRegistry(directory / "policies", CATALOGUE)
    keeper = ReleaseKeeper(directory / "last-good", registry, _say)
    lists = ListKeeper(ListFiles(directory / "lists"), _say)
    lists.open()
    held = [InForce(policy(name))]
    before_kb = private_kb()
    loop = asyncio.get_running_loop()
    told: asyncio.Queue[str] = asyncio.Queue()

    def change(of: Callable[[InForce], InForce]) -> None:
        held[0] = of(held[0])
        told.put_nowait("")

    follower = ReleaseFollower(
        ControlTopic(bootstrap, {}, topic), keeper, lists, change, lambda *_: None
    )
    tasks = [loop.create_task(follower.follow()), loop.create_task(_commands(told))]
    token = ""
    others = [f"other-{n}" for n in range(LOOK_UPS)]
    while True:
        token = (await told.get()) or token
        managed = lists.current.lists.get(name)
        figures = {
            "at": time.monotonic(),
            "token": token,
            "declined": bool(token) and declines(held[0].policy, token),
            "revision": lists.current.revision,
            "count": managed.count if managed else 0,
        }
        if token == "figures" and managed is not None:  # noqa: S105 - a command
            figures["look_up_us"] = look_up_us(managed.get, others)
            figures["private_mb"] = (private_kb() - before_kb) / 1_024
        _say(json.dumps(figures))
        assert not any(task.done() for task in tasks)


async def _commands(told: asyncio.Queue[str]) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        told.put_nowait(line.strip())


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    bootstrap, topic, directory, name = sys.argv[1:]
    asyncio.run(follow(bootstrap, topic, Path(directory), name))
