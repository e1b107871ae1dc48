"""The rules of the house, held as ordinary tests."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import architecture
import pytest
from toolbox import VERSION

ROOT = Path(__file__).resolve().parent.parent
# Of code: doctests, prose and blank lines are not counted.
MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 40
FILE_BYTES_MAX = 400_000
ROOM_FILES_MAX = 25
BANNED_NAMES = frozenset(
    [
        "utils",
        "util",
        "helpers",
        "helper",
        "common",
        "manager",
        "managers",
        "processor",
        "processors",
        "handler",
        "handlers",
        "data",
        "info",
        "misc",
    ]
)
NAMED_BY_OTHERS = {"data_received", "get_route_handler"}  # what we override
BANNED_IN_CLASSES = re.compile(r"(Manager|Processor|Handler|Helper|Util|Impl|Info)s?$")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
GENERATED = ("scoring/v1/", "uv.lock")


def tracked() -> list[str]:
    """Every file that git would commit, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout: there is no list of files to judge")
    names = listing.stdout.decode().split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


def ours(*suffixes: str) -> list[str]:
    return [
        name
        for name in tracked()
        if name.endswith(suffixes) and not name.startswith(GENERATED)
    ]


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(text: str) -> int:
    """Lines that a machine reads: doctests and prose are welcome at any length."""
    prose: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            prose |= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(1 for number, line in lines if line.strip() and number not in prose)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's statements: its signature and docstring declare."""
    body = function.body[ast.get_docstring(function, clean=False) is not None :]
    if not body:
        return 0
    return (function.end_lineno or function.lineno) - body[0].lineno + 1


def test_there_is_something_to_judge():
    assert "scoring/errors.py" in ours(".py")


def test_modules_fit_on_a_few_screens():
    long = {
        name: count
        for name in ours(".py")
        if (count := code_lines((ROOT / name).read_text())) > MODULE_LINES_MAX
    }
    assert not long, (
        f"over {MODULE_LINES_MAX} lines: {long}; split them by what they do"
    )


def test_functions_fit_on_one_screen():
    long = {
        f"{name}:{function.lineno} {function.name}": lines
        for name in ours(".py")
        for function in functions(name)
        if (lines := body_lines(function)) > FUNCTION_LINES_MAX
    }
    assert not long, f"over {FUNCTION_LINES_MAX} lines: {long}"


def test_no_name_says_nothing():
    vague = [
        name
        for name in ours(".py")
        if set(Path(name).with_suffix("").parts) & BANNED_NAMES
    ]
    assert not vague, f"say what lives there: {vague}"


def test_no_class_is_named_for_being_a_class():
    vague = [
        f"{name}:{node.lineno} {node.name}"
        for name in ours(".py")
        if name.startswith("scoring/")
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.ClassDef) and BANNED_IN_CLASSES.search(node.name)
    ]
    assert not vague, f"say what it is: {vague}"


def test_no_function_is_named_for_nothing_in_particular():
    vague = [
        f"{name}:{function.lineno} {function.name}"
        for name in ours(".py")
        if name.startswith("scoring/")
        for function in functions(name)
        if set(function.name.strip("_").split("_")) & BANNED_NAMES
        and function.name not in NAMED_BY_OTHERS
    ]
    assert not vague, f"say what it does: {vague}"


def test_a_room_holds_what_one_finds_at_a_glance():
    rooms = Counter(
        str(Path(name).parent) for name in ours(".py") if name.startswith("scoring/")
    )
    assert len(rooms) > 20
    full = {room: count for room, count in rooms.items() if count > ROOM_FILES_MAX}
    assert not full, f"over {ROOM_FILES_MAX} files: {full}; part them by their role"


def test_no_two_types_have_one_name():
    places: dict[str, list[str]] = {}
    for name in ours(".py"):
        if name.startswith("scoring/"):
            for node in ast.walk(ast.parse((ROOT / name).read_text())):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(f"{name}:{node.lineno}")
    assert len(places) > 300
    shared = {name: where for name, where in places.items() if len(where) > 1}
    assert not shared, f"one word, one meaning: {shared}"


def test_text_becomes_code_in_one_place():
    places = [
        name
        for name in ours(".py")
        if name.startswith("scoring/")
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"exec", "eval"}
    ]
    assert [Path(name).name for name in places] == ["generated_code.py"], (
        "make the function with `generated_code.function_from`"
    )


def test_every_module_says_in_one_sentence_what_lives_there():
    silent = []
    for name in ours(".py"):
        text = (ROOT / name).read_text()
        if not name.startswith("scoring/") or not text.strip():
            continue
        docstring = ast.get_docstring(ast.parse(text)) or ""
        first = docstring.split("\n\n", maxsplit=1)[0]
        if not re.search(r"[.:?]$", first):
            silent.append(name)
    assert not silent, f"no opening sentence: {silent}"


def test_nothing_large_is_committed():
    large = {
        name: size
        for name in tracked()
        if name != "uv.lock"  # as long as what it locks; nobody wrote it
        and (size := (ROOT / name).stat().st_size) > FILE_BYTES_MAX
    }
    assert not large, f"over {FILE_BYTES_MAX} bytes: {large}"


def test_package_and_chart_have_one_version():
    chart = (ROOT / "helm" / "fraud-scoring" / "Chart.yaml").read_text()
    assert f'\nappVersion: "{VERSION}"\n' in chart


def test_no_work_is_left_behind_in_a_comment():
    left = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")
    found = [
        f"{name}:{number}"
        for name in ours(".py", ".lua", ".proto", ".yaml", ".md", ".sh")
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if left.search(line)
    ]
    assert not found, f"do it or drop it: {found}"


def test_every_function_that_the_architecture_names_is_there():
    page = architecture.PAGE.read_text()
    assert len(architecture.PLACE.findall(page)) > 30
    assert not (gone := architecture.missing(page)), f"it says otherwise: {gone}"
    assert architecture.missing("`scoring/errors.py::NoSuchThing`, `scoring/gone.py`")


def test_the_architecture_lists_every_room_with_a_file_to_begin_with():
    listed = architecture.rooms(architecture.PAGE.read_text())
    assert set(listed) == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "scoring").iterdir()
        if any(name.startswith(f"scoring/{path.name}/") for name in tracked())
    }
    gone = [f"{r}/{f}" for r, f in listed.items() if f and not (ROOT / r / f).exists()]
    assert not gone


@pytest.mark.parametrize(
    ("subject", "is_taken"),
    [
        ("Say what is different now", True),
        ("x" * 72, True),
        ("x" * 73, False),
        ("", False),
        ("# only a remark of git's", False),
    ],
)
def test_a_commit_subject_that_is_long_or_empty_is_refused(tmp_path, subject, is_taken):
    message = tmp_path / "COMMIT_EDITMSG"
    message.write_text(f"{subject}\n\n{'the reason ' * 20}\n# a remark of git's\n")
    done = subprocess.run(
        [ROOT / ".ci" / "subject", message], capture_output=True, check=False
    )
    assert (done.returncode == 0) is is_taken


@pytest.mark.parametrize(
    "target", ["setup", "demo", "dev", "quick", "test", "check", "fmt", "bench"]
)
def test_make_help_names_every_target(target):
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = next(line for line in shown.splitlines() if f"m{target} " in line)
    assert len(line.split()) > 2
