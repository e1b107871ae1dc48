"""Whatever stands in a policy file, it loads or is refused with a position."""

from __future__ import annotations

from importlib import resources

from hypothesis import given
from hypothesis import strategies as st

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.errors import BadArtifact

SHIPPED = resources.files("scoring.defaults").joinpath("policy.yaml").read_text()
PIECES = (
    "[", "]", "{", "}", ":", "-", "&a ", "*a", "!!int ", '"', "'", "|\n", "\n", "  ",
    "null", "true", "1e999", ".nan", "-1", "2026-13-01", "lists.", "score", "has(",
    "&&", "||", "!", "(", ")", "\\", "\t", "\x85", "\u2028", "\x00", "é", "<<: ",
    "999999999999999999999",
)  # fmt: skip
edits = st.lists(
    st.tuples(
        st.integers(0, len(SHIPPED)), st.integers(0, 12), st.sampled_from(PIECES)
    ),
    min_size=1,
    max_size=4,
)


@given(edits)
def test_an_edited_policy_loads_or_is_refused_and_nothing_else(
    changes: list[tuple[int, int, str]],
) -> None:
    text = SHIPPED
    for at, dropped, piece in changes:
        text = text[:at] + piece + text[at + dropped :]
    try:
        policy = load_policy(text, catalogue=default_catalogue(), name="p.yaml")
    except BadArtifact as refused:
        assert str(refused).startswith("p.yaml:")  # noqa: PT017 - either may happen
    else:
        assert policy.version
