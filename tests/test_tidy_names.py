"""Names in the code keep to the words of docs/glossary.md."""

import ast
import re

from test_tidy import ROOT, ours

# What the glossary calls something else: a name is read as often as a message.
NEVER = "adopt adopted away lane lanes partly publisher shelf shelves sweep swept"
NEVER_NAMES = frozenset(NEVER.split())


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
