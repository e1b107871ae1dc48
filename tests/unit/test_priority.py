"""Who goes first where processes share their cores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from load_tests.priority import going_first, ordinarily
from scoring.wiring.process_supervisor import import_behind


def _own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def _of_a_child() -> int:
    asked = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"
    return int(subprocess.check_output([sys.executable, "-c", asked]))


def test_a_generator_goes_first_only_while_it_sends() -> None:
    before = _own()
    found: list[int] = []
    with going_first():
        during = _own()
        with ThreadPoolExecutor(1) as other:
            start = partial(ordinarily, lambda: found.append(_of_a_child()))
            other.submit(start).result()

    assert during <= before
    assert found == [before]
    assert _own() == before


def test_what_a_worker_imports_is_imported_behind_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "told_priority.py").write_text(
        "import os, threading\n"
        "AT = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = _own()

    import_behind(["told_priority"])

    while_importing = sys.modules["told_priority"].AT
    assert while_importing > before
    assert _own() == before


def test_what_cannot_be_imported_ends_the_worker() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_behind(["no_such_module"])
