"""Functions made from generated text: the one place where text becomes code.

The text is this package's own, generated from definitions that were checked: nothing
that a file or a message says gets here unparsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any


def function_from(source: str, name: str, names: Mapping[str, Any]) -> Any:
    """The function `name` that `source` defines; it sees `names` and the builtins.

    `names` with an empty `__builtins__` leaves it only those. They are copied: what
    the text assigns stays out of them.

    >>> function_from("def twice(x): return factor * x", "twice", {"factor": 2})(3)
    6
    """
    scope = dict(names)
    exec(compile(source, f"<{name}>", "exec"), scope)  # noqa: S102 - see above
    return scope[name]


def rebound(function: Any, names: Mapping[str, Any]) -> Any:
    """The same function, seeing other values under names that it reads.

    The text is not compiled again. A function that reads none of them stays as it is.

    >>> thrice = function_from("def f(x): return factor * x", "f", {"factor": 3})
    >>> rebound(thrice, {"factor": 4})(2), thrice(2)
    (8, 6)
    """
    if names.keys().isdisjoint(function.__code__.co_names):
        return function
    scope = {**function.__globals__, **names}
    return FunctionType(function.__code__, scope, function.__name__)
