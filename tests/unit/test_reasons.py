"""Every reason that a model can give has a stable code and words."""

from __future__ import annotations

import pytest

from scoring.core.catalogue import default_catalogue, handbook_catalogue
from scoring.core.reasons import default_reasons, load_reasons
from scoring.errors import BadArtifact


@pytest.mark.parametrize("catalogue", [default_catalogue, handbook_catalogue])
def test_every_group_of_the_shipped_features_has_a_reason(catalogue):
    groups = {f.reason_group for f in catalogue().features.values()}
    default_reasons().require(groups, name="reasons.yaml")


def test_a_group_without_a_reason_is_named():
    with pytest.raises(BadArtifact, match="MOON_PHASE"):
        default_reasons().require({"MOON_PHASE"}, name="reasons.yaml")


def test_a_code_that_stands_twice_is_refused():
    row = "{group: %s, code: SAME, wording: The same words again.}"
    text = f"version: 1\nreasons:\n  - {row % 'a'}\n  - {row % 'b'}\n"
    with pytest.raises(BadArtifact, match="code stands twice: SAME"):
        load_reasons(text, name="reasons.yaml")


def test_a_misspelt_code_is_refused_with_its_line():
    text = "version: 1\nreasons:\n  - {group: a, code: no code, wording: Some words.}\n"
    with pytest.raises(BadArtifact, match=r"reasons.yaml:3: reasons.0.code"):
        load_reasons(text, name="reasons.yaml")
