"""Pages, messages and names keep to plain English and the words of docs/glossary.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from test_tidy import DOCUMENTED, ROOT, functions, ours, tracked

# What a reader must read twice, and words for which the glossary has another.
PHRASES = re.compile(
    r"\b(those (who|that)|(is|are) told|(goes|go|going|went) on"
    r"|(lay|lays|laid|laying) aside|(turn|turns|turned|turning) away"
    r"|(push|pushes|pushed|pushing) back|adopt(s|ed|ing|ion)?|group commits?"
    r"|(stand|stands|stood|shelf|shelves|away|gone))\b",
    re.IGNORECASE,
)
# English as it should be, or a word that is quoted.
PLAIN = re.compile(r"far away")
# What the glossary calls something else: a name is read as often as a message.
NEVER = "adopt adopted away lane lanes partly publisher shelf shelves sweep swept"
NEVER_NAMES = frozenset(NEVER.split())


def read_pages() -> list[str]:
    """The pages that users and engineers read, and what else is prose."""
    front = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"]
    pages = [name for name in ours(".md") if name.startswith(("docs/", "helm/"))]
    return [*front, *pages, *ours(".lua", ".proto")]


def odd(text: str) -> list[str]:
    """The phrases of a text that a fluent engineer would not use.

    >>> odd("The store is away, and what was laid aside stands.")
    ['away', 'laid aside', 'stands']
    """
    return [found[0] for found in PHRASES.finditer(PLAIN.sub("", text))]


def messages(name: str) -> Iterator[tuple[int, str]]:
    """Texts of a module that a user may read: sentences that are no docstring."""
    tree = ast.parse((ROOT / name).read_text())
    prose = {
        id(node.body[0].value)  # type: ignore[attr-defined]
        for node in ast.walk(tree)
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in prose
            and " " in node.value.strip()
        ):
            yield node.lineno, node.value


def commands(name: str) -> Iterator[tuple[int, str]]:
    """The help of a module's commands: their docstrings."""
    for function in functions(name):
        decorators = [ast.unparse(each) for each in function.decorator_list]
        if any(".command" in each or ".callback" in each for each in decorators):
            yield function.lineno, ast.get_docstring(function) or ""


def glossary() -> dict[str, str]:
    """Each word of the glossary with what it is never called."""
    rows = re.findall(
        r"^\| (\*\*.+?) \| .+ \| (.+?) \|$",
        (ROOT / "docs" / "glossary.md").read_text(),
        re.MULTILINE,
    )
    return {
        word: never
        for words, never in rows
        for word in re.findall(r"\*\*(.+?)\*\*", words)
    }


def test_pages_are_read_without_stumbling():
    found = {
        f"{name}:{number}": phrases
        for name in read_pages()
        if name != "docs/glossary.md"
        for number, line in enumerate((ROOT / name).read_text().splitlines(), start=1)
        if (phrases := odd(line))
    }
    assert not found, f"say it shorter, in the words of docs/glossary.md: {found}"


def test_messages_use_the_words_of_the_glossary():
    found = {
        f"{name}:{number}": phrases
        for name in ours(".py")
        if name.startswith("scoring/")
        for number, text in [*messages(name), *commands(name)]
        if (phrases := odd(text))
    }
    assert not found, f"say it shorter, in the words of docs/glossary.md: {found}"


def test_the_glossary_explains_each_word_once_and_calls_none_by_two():
    words = glossary()
    assert len(words) > 50
    never = {
        other: word for word, others in words.items() for other in others.split(", ")
    }
    # "event" and "request" are the field's own words where no transaction is meant.
    assert not {other: never[other] for other in never if other in words}


def test_every_file_that_a_page_names_is_there():
    names = tracked()
    named = re.compile(r"`([\w./-]+\.(?:py|lua|proto|sh))(?:::[\w.]+)?`")
    gone = {
        f"{page}: {path}"
        for page in read_pages()
        for path in named.findall((ROOT / page).read_text())
        if not any(f"/{name}".endswith(f"/{path}") for name in names)
        and not path.startswith("google/")
    }
    assert not gone, f"it was moved or removed: {gone}"


def test_every_page_is_linked_from_the_list_of_pages():
    listed = (ROOT / "docs" / "README.md").read_text()
    pages = {Path(n).name for n in ours(".md") if re.fullmatch(r"docs/[\w-]+\.md", n)}
    assert not {page for page in pages - {"README.md"} if f"({page})" not in listed}


def test_every_decision_is_listed_and_begins_with_what_was_decided():
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    pages = [ROOT / n for n in ours(".md") if n.startswith("docs/decisions/")]
    odd_ones = {
        page.name
        for page in pages
        if page.name != "README.md"
        and (f"({page.name})" not in listed or "**Deci" not in page.read_text()[:200])
    }
    assert not odd_ones


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 200


def words_of(name: str) -> set[str]:
    """The single words of the names that a module gives to anything.

    >>> sorted(words_in("ModelShelf")), sorted(words_in("store_is_away"))
    (['model', 'shelf'], ['away', 'is', 'store'])
    """
    words: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                words |= words_in(node.name)
            case ast.arg():
                words |= words_in(node.arg)
            case ast.Name(ctx=ast.Store()):
                words |= words_in(node.id)
            case ast.Attribute(ctx=ast.Store()):
                words |= words_in(node.attr)
            case _:
                pass
    return words


def words_in(identifier: str) -> set[str]:
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", identifier).lower().split("_")
    return set(filter(None, parts))


def test_names_use_the_words_of_the_glossary():
    found = {
        name: sorted(odd_words)
        for name in ours(".py")
        if name.startswith("scoring/") and (odd_words := words_of(name) & NEVER_NAMES)
    }
    assert not found, f"use the words of docs/glossary.md: {found}"
