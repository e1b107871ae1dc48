"""Coverage-guided fuzzing of decoding: every input is accepted or precisely refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).resolve().parent.parent / "fuzz_decoding.py"
PROFILE = os.environ.get("HYPOTHESIS_PROFILE")
NIGHTLY = PROFILE == "nightly"
CASES = {"nightly": 1_000_000, "quick": 500}.get(PROFILE, 20_000)
RSS_MB_MAX = 256  # about 90 at the start; libFuzzer ends a run that exceeds it
# The figure that libFuzzer reads is a process's largest ever, and a process begins with
# that of the one it was started from: a shell between the two keeps ours out of it.
BY_A_SMALL_PROCESS = ("sh", "-c", '"$@"; exit $?', "sh")


@pytest.mark.timeout(3_600)
def test_whatever_is_read_from_outside_is_accepted_or_refused_by_name(tmp_path):
    larger = b"x" * (2 * RSS_MB_MAX * 2**20)  # what this process may have held before
    del larger
    done = subprocess.run(
        [
            *BY_A_SMALL_PROCESS,
            sys.executable,
            HARNESS,
            f"-runs={CASES}",
            f"-rss_limit_mb={RSS_MB_MAX}",
            "-max_len=2048",
            "-len_control=0",
            "-timeout=10",
            *(() if NIGHTLY else ("-seed=1",)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    assert re.search(rf"^Done {CASES} runs", done.stderr, re.MULTILINE)
    print(done.stderr.splitlines()[-1])
