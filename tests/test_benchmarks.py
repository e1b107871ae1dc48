"""Benchmarks and drills keep up with what they measure."""

import ast
import importlib
from pathlib import Path

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


def imports(module: str, name: str) -> bool:
    """Whether `from module import name` would succeed."""
    try:
        return hasattr(importlib.import_module(module), name) or bool(
            importlib.import_module(f"{module}.{name}")
        )
    except ImportError:
        return False
