"""One rule of a text in another mode: the same policy but for that."""

from __future__ import annotations

import pytest

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.policy.rule_mode import with_mode
from scoring.core.policy.shipped_policy import shipped_text
from scoring.errors import BadArtifact, InvalidTransaction

TEXT = shipped_text()
RULES = load_policy(TEXT, catalogue=default_catalogue(), name="shipped").file.rules


def loaded(text):
    return load_policy(text, catalogue=default_catalogue(), name="changed").file


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_each_rule_of_the_shipped_policy_changes_alone_and_no_comment_with_it(rule):
    changed = with_mode(TEXT, rule, "off")
    modes = {each.id: each.mode for each in loaded(changed).rules}
    assert modes == {each.id: each.mode for each in RULES} | {rule: "off"}
    assert changed.count("#") == TEXT.count("#")
    unlike = loaded(changed).model_dump(exclude={"rules"})
    assert unlike == loaded(TEXT).model_dump(exclude={"rules"})
    assert with_mode(changed, rule, "enforce").count("mode:") == changed.count("mode:")


def test_a_rule_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(InvalidTransaction, match=RULES[0].id):
        with_mode(TEXT, "nobody's", "off")


@pytest.mark.parametrize("text", ["rules: [", "a: &a {id: x}\nrules: [*a]\n"])
def test_a_text_that_is_no_yaml_or_has_aliases_is_refused(text):
    with pytest.raises(BadArtifact):
        with_mode(text, "x", "off")


@pytest.mark.parametrize("text", ["", "rules:", "rules: a", "[]", "rules: [1, {a: b}]"])
def test_a_text_without_such_a_rule_is_refused(text):
    with pytest.raises(InvalidTransaction):
        with_mode(text, "x", "off")
