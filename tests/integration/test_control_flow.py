"""A policy from draft to live and back, by several people over HTTP and the shell."""

import os
import subprocess
import sys

import pytest
from bad_control_requests import GOOD_TEXT
from control_served import control_serving


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    with control_serving(tmp_path_factory.mktemp("flow"), drain_s=5) as served:
        yield served


@pytest.fixture(scope="module")
def people(control):
    """Tokens of an author, an approver and a viewer."""
    roles = {"ann": ["author"], "bob": ["approver"], "eve": ["viewer"]}
    return {
        name: control.ask("POST", "/v1/people", {"name": name, "roles": given}).json[
            "token"
        ]
        for name, given in roles.items()
    }


def text(decline):
    return GOOD_TEXT.replace("0.5", str(decline))


def proposed(control, people, decline):
    made = control.ask(
        "POST", "/v1/policies", {"text": text(decline)}, token=people["ann"]
    )
    number = made.json["policy"]["number"]
    asked = control.ask(
        "POST", f"/v1/policies/{number}/proposals", {}, token=people["ann"]
    )
    return asked.json["policy"], asked.json["proposal"]


def approval(control, proposal, token, **more):
    body = {"version": proposal["version"], "why": "no backtest yet", **more}
    path = f"/v1/proposals/{proposal['number']}/approval"
    return control.ask("POST", path, body, token=token)


def test_it_takes_two_people_to_release_and_one_to_return(control, people):
    policy, proposal = proposed(control, people, 0.41)
    refused = approval(control, proposal, people["ann"])
    assert refused.status == 403
    done = approval(control, proposal, people["bob"], at_once=True)
    assert (done.status, done.json["policy"]["state"]) == (200, "live")
    assert approval(control, proposal, people["bob"], at_once=True).status == 409
    current = control.ask("GET", "/v1/releases/current", token=people["eve"])
    assert current.json["version"] == policy["version"]
    _, second = proposed(control, people, 0.42)
    assert approval(control, second, people["bob"], at_once=True).status == 200
    read = {"if_match": current.headers["etag"]}
    back = {"why": "refuses too many"}
    late = control.ask(
        "POST", "/v1/releases/rollback", back, token=people["bob"], **read
    )
    assert late.status == 412
    unread = control.ask("POST", "/v1/releases/rollback", back, token=people["bob"])
    assert unread.status == 428
    now = control.ask("GET", "/v1/releases/current").headers["etag"]
    rolled = control.ask(
        "POST", "/v1/releases/rollback", back, token=people["bob"], if_match=now
    )
    assert rolled.status == 201
    repeated = control.ask(
        "POST", "/v1/releases/rollback", back, token=people["bob"], if_match=now
    )
    assert repeated.status == 412
    running = control.ask("GET", "/v1/releases/current").json
    assert running["version"] == policy["version"]
    assert control.ask("GET", "/v1/audit/verification").json["problems"] == []


def test_whoever_saves_second_sees_who_was_first_and_what_is_different(control, people):
    made = control.ask(
        "POST", "/v1/policies", {"text": text(0.51)}, token=people["ann"]
    )
    path, tag = made.headers["location"], made.headers["etag"]
    saves = [
        control.ask("PUT", path, {"text": text(n)}, token=people["ann"], if_match=tag)
        for n in (0.52, 0.53)
    ]
    assert [save.status for save in saves] == [200, 412]
    changes = saves[1].json["changes"]
    assert "revision 2 is by ann" in changes
    assert any(line.startswith("+") and "0.52" in line for line in changes)


@pytest.mark.parametrize(
    ("who", "request_made"),
    [
        ("eve", ("POST", "/v1/policies", {"text": GOOD_TEXT})),
        ("bob", ("POST", "/v1/policies", {"text": GOOD_TEXT})),
        ("ann", ("POST", "/v1/people", {"name": "mal", "roles": ["admin"]})),
        ("bob", ("GET", "/v1/people")),
        ("eve", ("POST", "/v1/releases/rollback", {"why": "for fun"})),
    ],
)
def test_a_role_that_may_not_is_told_which_may(control, people, who, request_made):
    answer = control.ask(*request_made, token=people[who])
    assert answer.status == 403
    assert "roles that may" in answer.body.decode()


def test_a_token_that_was_withdrawn_ends_at_once(control):
    given = control.ask("POST", "/v1/people", {"name": "zoe", "roles": ["viewer"]})
    token = given.json["token"]
    assert control.ask("GET", "/v1/me", token=token).status == 200
    assert control.ask("DELETE", "/v1/people/zoe").status == 204
    assert control.ask("GET", "/v1/me", token=token).status == 401
    assert token not in "\n".join(control.lines)


def test_pages_hold_each_item_once_whatever_is_added_meanwhile(control, people):
    for n in range(5):
        made = {"text": text(0.61 + n / 100)}
        control.ask("POST", "/v1/policies", made, token=people["ann"])
    found, cursor = [], ""
    while cursor is not None:
        path = f"/v1/policies?limit=2&cursor={cursor}"
        page = control.ask("GET", path, token=people["eve"]).json
        found += [each["number"] for each in page["items"]]
        cursor = page["next"]
        made = {"text": text(0.71)}
        control.ask("POST", "/v1/policies", made, token=people["ann"])
    assert found == sorted(set(found), reverse=True)
    assert len(found) >= 5


def test_the_shell_does_the_same_here_and_over_http(control, people, tmp_path):
    (tmp_path / "policy.yaml").write_text(text(0.81))
    (tmp_path / "ann").write_text(people["ann"])
    said = []
    for target in (
        {"SCORING_CONTROL_URL": control.url, "SCORING_CONTROL_TOKEN_FILE": "ann"},
        {"SCORING_STATE_DIR": str(control.directory)},
    ):
        outside = {k: v for k, v in os.environ.items() if "SCORING_" not in k}
        done = subprocess.run(
            [sys.executable, "-m", "scoring", "policy", "draft", "policy.yaml"],
            cwd=tmp_path,
            env=outside | target,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        said.append(done.stdout.split()[2:])
    assert said[0] == said[1]
    assert said[0][-1] == "draft"


def test_it_ends_gracefully_and_its_token_is_for_its_owner_alone(control):
    token = control.directory / "control.token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert control.token not in "\n".join(control.lines)
    assert control.stop() == 0


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:8090"])
def test_it_does_not_listen_to_strangers_while_nobody_is_asked_who_it_is(
    address, tmp_path
):
    outside = {k: v for k, v in os.environ.items() if "SCORING_" not in k}
    done = subprocess.run(
        [sys.executable, "-m", "scoring", "control", "--address", address],
        env=outside | {"SCORING_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "SCORING_JWT_JWKS_FILE or SCORING_CONTROL_PROXIES" in done.stderr
    assert "Traceback" not in done.stderr
