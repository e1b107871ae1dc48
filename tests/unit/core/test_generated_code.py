"""Text becomes a function that sees the names it is given, and changes none."""

import pytest

from scoring.core.generated_code import function_from


def test_a_function_is_made_of_its_text_and_the_names_it_is_given():
    assert function_from("def f(x): return g(x) + 1", "f", {"g": abs})(-3) == 4


def test_what_the_text_assigns_stays_out_of_the_names():
    names = {"limit": 5}
    function_from("limit = 6\ndef f(): return limit", "f", names)
    assert names == {"limit": 5}


def test_without_builtins_nothing_is_seen_but_the_names():
    source = "def f(x): return len(x)"
    assert function_from(source, "f", {})([1]) == 1
    closed = function_from(source, "f", {"__builtins__": {}})
    with pytest.raises(NameError):
        closed([1])


def test_a_traceback_names_the_function_whose_text_it_was():
    made = function_from("def rate(x): return 1 / x", "rate", {})
    assert made.__code__.co_filename == "<rate>"
