"""The look at the machine says one thing in JSON and by its exit status."""

import json
import subprocess
import sys

VOID = 3


def test_a_machine_is_fit_or_every_run_on_it_is_void():
    told = subprocess.run(
        [sys.executable, "-m", "load_tests.machine", "--seconds", "0.2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = json.loads(told.stdout.splitlines()[-1])
    assert told.returncode == (0 if found["fit"] else VOID), told.stderr
    assert 0 < found["cores_given"] <= found["cores"]
    assert bool(told.stderr) is not found["fit"]
