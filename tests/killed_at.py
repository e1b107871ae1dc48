"""`python killed_at.py STEP COUNT serve …`: ends itself with SIGKILL at that step.

Prints `reached STEP` for each step that it comes to for the first time.
"""

from __future__ import annotations

import os
import signal
import sys

from scoring.__main__ import main
from scoring.pipeline import steps


def armed(fatal: str, count: int):
    """A watcher that dies when it is told so many times of one step."""
    seen: dict[str, int] = {}

    def watcher(step: steps.Step) -> None:
        seen[step.name] = seen.get(step.name, 0) + 1
        if seen[step.name] == 1:
            os.write(1, f"reached {step.name}\n".encode())
        if step.name == fatal and seen[step.name] >= count:
            os.kill(os.getpid(), signal.SIGKILL)

    return watcher


if __name__ == "__main__":
    steps.watch(armed(sys.argv[1], int(sys.argv[2])))
    sys.argv = ["scoring", *sys.argv[3:]]
    main()
