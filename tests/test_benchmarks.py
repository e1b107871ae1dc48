"""Benchmarks and drills keep up with what they measure."""

import ast
import importlib
import json
from pathlib import Path

from benchmarks.backtest import main as backtest_figures

ROOT = Path(__file__).resolve().parent.parent


def test_benchmarks_and_drills_import_what_there_is():
    """Types are checked in scoring/ alone, and not every benchmark runs in a test."""
    missing = [
        f"{path.name}: {node.module}.{alias.name}"
        for folder in ("benchmarks", "load_tests")
        for path in (ROOT / folder).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("scoring", "benchmarks", "load_tests"))
        for alias in node.names
        if not imports(node.module or "", alias.name)
    ]
    assert not missing


def test_the_backtests_benchmark_ends_with_its_figures_and_no_difference(capsys):
    """A small archive: what it says of time is of no worth here."""
    backtest_figures(20_000)
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["differences"] == 0
    for figure in ("seconds_10m_rows_50_rules", "over_scan", "memory_mb"):
        assert found[figure] > 0


def imports(module: str, name: str) -> bool:
    """Whether `from module import name` would succeed."""
    try:
        return hasattr(importlib.import_module(module), name) or bool(
            importlib.import_module(f"{module}.{name}")
        )
    except ImportError:
        return False
