"""Bad requests to the control plane: each is refused, with where and what to do."""

import pytest
from bad_case_requests import BAD_OF_CASES
from bad_control_requests import BAD, CARD, GOOD_TEXT
from control_served import control_serving

EVERY = BAD | BAD_OF_CASES


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    with control_serving(tmp_path_factory.mktemp("bad")) as served:
        yield served


@pytest.fixture(scope="module")
def draft(control):
    """The number of a draft at its second revision."""
    made = control.ask("POST", "/v1/policies", {"text": GOOD_TEXT})
    number = made.json["policy"]["number"]
    edited = control.ask(
        "PUT",
        f"/v1/policies/{number}",
        {"text": GOOD_TEXT.replace("0.5", "0.6")},
        if_match=made.headers["etag"],
    )
    assert edited.json["policy"]["revision"] == 2
    return number


def state(control):
    """All that a request could have changed."""
    paths = ("policies", "proposals", "releases", "people", "cases", "audit")
    return [control.ask("GET", f"/v1/{path}").json for path in paths]


@pytest.mark.parametrize("name", EVERY)
def test_it_is_refused_with_field_and_remedy_and_nothing_is_changed(
    control, draft, name
):
    bad, before = EVERY[name], state(control)
    filled = {
        key: value.replace("{draft}", str(draft)) for key, value in bad.headers.items()
    }
    answer = control.ask(
        bad.method,
        bad.path.replace("{draft}", str(draft)),
        bad.body,
        raw=bad.raw,
        token=bad.token,
        **filled,
    )
    assert answer.status == bad.status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == bad.status
    assert problem["type"].startswith("urn:fraud-scoring:problem:")
    assert problem["detail"]
    assert bad.remedy in problem["remedy"]
    assert problem["remedy"]
    faults = problem.get("errors", [problem])
    assert any(fault.get("field", "") == bad.at for fault in faults), problem
    if bad.line:
        assert any(fault.get("line") == bad.line for fault in faults), problem
    assert CARD not in answer.body.decode()
    assert state(control) == before


def test_there_are_enough_of_them_and_none_was_an_error_of_ours(control):
    assert len(EVERY) == len(BAD) + len(BAD_OF_CASES) >= 60
    said = "\n".join(control.lines)
    assert "Traceback" not in said
    assert control.token not in said
