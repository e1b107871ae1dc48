"""What ARCHITECTURE.md names: places in the code, `path::function`, and rooms."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
PLACE = re.compile(r"`((?:scoring|tests)/[\w./]+?\.py)(?:::([\w.]+))?`")
ROOM = re.compile(
    r"^\| `(scoring/\w+)/` \| [^|]+ \| (?:`([\w./]+)`)? ?\|", re.MULTILINE
)


def missing(page: str) -> list[str]:
    """Places that a page names and the code does not have."""
    return [
        f"{path}::{name}" if name else path
        for path, name in PLACE.findall(page)
        if not (ROOT / path).is_file() or (name and name not in names_in(path))
    ]


def rooms(page: str) -> dict[str, str]:
    """The rooms that a page lists, each with the file to begin with."""
    return dict(ROOM.findall(page))


@cache
def names_in(path: str) -> set[str]:
    """Functions and classes of a module, methods as `Class.method`, made ones too."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {
                    f"{node.name}.{each.name}"
                    for each in node.body
                    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                }
    return found
