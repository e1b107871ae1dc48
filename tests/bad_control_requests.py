"""Requests to the control plane as no caller should send them, and what each gets.

A name → method, path, what is sent, and of the answer: status, field, and a word of the
remedy. `{draft}` is the number of a draft; `{tag}` its ETag.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GOOD_TEXT = """\
version: 1
name: of a test
thresholds:
  default: {challenge: 0.05, review: 0.20, decline: 0.5}
default: {outcome: review, reason_code: NO_SCORE}
reasons:
  NO_SCORE: The payment could not be scored.
  NO_RISK_FOUND: Nothing speaks against the payment.
"""
CARD = "4111111111111111"
WHY = {"why": "as agreed"}


@dataclass(frozen=True)
class BadRequest:
    """One request, and what is answered."""

    method: str
    path: str
    status: int
    at: str = ""
    remedy: str = ""
    line: int = 0
    body: object = None
    raw: bytes | None = None
    headers: dict = field(default_factory=dict)
    token: str | None = ""


def post(path, status, at="", remedy="", **more):
    return BadRequest("POST", path, status, at, remedy, **more)


def draft(status, at="", remedy="", **more):
    return post("/v1/policies", status, at, remedy, **more)


def text(bad, at, line, remedy=""):
    return draft(422, at, remedy, line=line, body={"text": bad})


def get(path, status=400, at="", remedy="", **more):
    return BadRequest("GET", path, status, at, remedy, **more)


def look_up(status, at="", remedy="", **more):
    body = {"transaction": "t1", **more}
    return post("/v1/payment-look-up", status, at, remedy, body=body)


def put(status, at="", remedy="", **more):
    body = more.pop("body", {"text": GOOD_TEXT})
    return BadRequest(
        "PUT", "/v1/policies/{draft}", status, at, remedy, body=body, **more
    )


def backtest(status, at="", remedy="", **body):
    return post("/v1/backtests", status, at, remedy, body=body)


def by(token, path="/v1/me", status=401, remedy="send", **headers):
    return BadRequest("GET", path, status, "", remedy, token=token, headers=headers)


PROPOSE = "/v1/policies/{draft}/proposals"
RAW = "/v1/policy-check"
BAD: dict[str, BadRequest] = {
    # Who asks
    "no token": by(None),
    "an empty token": by(None, authorization="Bearer "),
    "another scheme": by(None, authorization="Basic YTpi"),
    "a token that nobody holds": by("fsc_" + "a" * 43, remedy="withdrawn"),
    "a token of somebody else's making": by(
        "eyJhbGciOiJub25lIn0.e30.", remedy="people add"
    ),
    "a token as long as a book": by("fsc_" + "a" * 9_000, remedy=""),
    "a person's name in a header that nobody may set": by(
        None, x_forwarded_user="admin", x_forwarded_groups="admin"
    ),
    "a token in the query": by(None, "/v1/me?access_token=fsc_x"),
    # Paths and methods
    "a path that is not there": get("/v1/polices", 404, remedy="openapi.json"),
    "a path one level up": get("/v1/../etc/passwd", 404, remedy="openapi.json"),
    "a slash too many": get("/v1/policies/", 404, remedy="openapi.json"),
    "a verb that is not there": BadRequest(
        "DELETE", "/v1/policies/1", 405, remedy="GET"
    ),
    "a number that is a word": get("/v1/policies/one", at="number", remedy="digits"),
    "a number below one": get("/v1/policies/0", at="number", remedy="change"),
    "a number beyond any": get("/v1/policies/" + "9" * 30, at="number"),
    "a version that is not there": get("/v1/policies/999999", 404, "number", "list"),
    "a proposal that is not there": get("/v1/proposals/999999/gate", 404, "number"),
    "a hash that is none": get("/v1/versions/xyz", at="version"),
    "a state that there is not": get("/v1/policies?state=dead", at="state"),
    "a page of too many": get("/v1/policies?limit=100000", at="limit"),
    "a page of none": get("/v1/audit?limit=0", at="limit"),
    "a cursor of somebody else's": get("/v1/policies?cursor=Zm9v", at="cursor"),
    "a cursor that is no text": get("/v1/audit?cursor=%FF%FE", at="cursor"),
    "a cursor with a sign": get("/v1/audit?cursor=bi0x", at="cursor", remedy="without"),
    "a sequence below none": get("/v1/audit/export?after=-1", at="after"),
    "a stage that there is not": get("/v1/proposals?stage=maybe", at="stage"),
    # Contents
    "no content": draft(400, "body", "object", raw=b""),
    "a content that is no JSON": draft(400, "body", line=1, raw=b"text=1"),
    "a JSON that ends too early": draft(400, "body", line=2, raw=b'{\n"text": '),
    "a JSON with a name twice": draft(
        400, "body", raw=b'{"text": "a", "text": "version: 1"}'
    ),
    "a JSON with what JSON does not have": post(
        PROPOSE, 400, "body", raw=b'{"share": NaN}'
    ),
    "a content that is no UTF-8": draft(400, "body", "UTF-8", raw=b'{"text": "\xff"}'),
    "half of a surrogate pair": draft(400, "body", raw=b'{"text": "\\ud800"}'),
    "a NUL in a path": get("/v1/lists/a%00b", 400, "", "leave it out"),
    "a NUL in a query": get("/v1/audit?subject=a%00b", 400, "", "leave it out"),
    "a NUL": draft(400, "body", raw=b'{"text": "a\\u0000b"}'),
    "brackets in brackets": draft(400, "body", raw=b"[" * 100_000),
    "a list for an object": draft(400, "body", raw=b"[]"),
    "a text for an object": draft(400, "body", raw=b'"version: 1"'),
    "a form": draft(
        415,
        "content-type",
        "application/json",
        raw=b"text=version",
        headers={"content_type": "application/x-www-form-urlencoded"},
    ),
    "a content of no kind": draft(
        415, "content-type", raw=b"{}", headers={"content_type": ""}
    ),
    "a content as large as a film": draft(
        413, "", "smaller", raw=b'{"text": "' + b"a" * 3_000_000 + b'"}'
    ),
    "no text": draft(400, "text", "send it", body={}),
    "an empty text": draft(400, "text", body={"text": ""}),
    "a text that is a number": draft(400, "text", "quotes", body={"text": 7}),
    "a name that is misspelt": draft(
        400, "txet", "leave it out", body={"text": GOOD_TEXT, "txet": "a"}
    ),
    "a base that is a text": draft(
        400, "based_on", body={"text": GOOD_TEXT, "based_on": "1"}
    ),
    "a base that is not there": draft(
        404, "number", body={"text": GOOD_TEXT, "based_on": 999_999}
    ),
    "a reason as long as a book": draft(
        400, "why", body={"text": GOOD_TEXT, "why": "a" * 3_000}
    ),
    "a reason with a card number": draft(
        400, "why", "token", body={"text": GOOD_TEXT, "why": f"refused {CARD}"}
    ),
    # Policies
    "a policy that is no YAML": text("version: [\n", "", 2),
    "a policy of another format": text(
        GOOD_TEXT.replace("version: 1", "version: 2"), "version", 1
    ),
    "a field of a policy that is unknown": text(f"{GOOD_TEXT}ruls: []\n", "ruls", 9),
    "a threshold above one": text(
        GOOD_TEXT.replace("0.20", "20"), "thresholds.default.review", 4
    ),
    "a rule that reads what there is not": text(
        f"{GOOD_TEXT}rules:\n  - id: a\n    when: colour == 'red'\n    then: decline\n"
        "    reason_code: NO_SCORE\n",
        "rules.0.when",
        11,
    ),
    "a card number in a list": text(
        f"{GOOD_TEXT}lists:\n  blocked:\n    field: card\n    then: decline\n"
        f"    reason_code: NO_SCORE\n    entries: [{{token: '{CARD}'}}]\n",
        "lists.blocked.entries.0.token",
        14,
        "token",
    ),
    "a field twice": text(f"{GOOD_TEXT}name: again\n", "name", 9),
    # A policy's life
    "an edit of what was not read": put(428, "if-match", "ETag"),
    "an edit of something else": put(
        400, "if-match", headers={"if_match": '"9.1.draft"'}
    ),
    "an edit by what is no tag": put(400, "if-match", headers={"if_match": "*"}),
    "an edit of an older revision": put(
        412, "revision", "read it again", headers={"if_match": '"{draft}.1.draft"'}
    ),
    "an edit of another state": put(
        412, "if-match", "read it again", headers={"if_match": '"{draft}.2.proposed"'}
    ),
    "an act that there is not": post(PROPOSE, 400, "act", body={"act": "delete"}),
    "a share of all": post(
        PROPOSE, 400, "share", body={"act": "candidate", "share": 1}
    ),
    "a candidate without a share": post(
        PROPOSE, 400, "share", body={"act": "candidate"}
    ),
    "a share of what has none": post(
        PROPOSE, 400, "share", body={"act": "release", "share": 0.5}
    ),
    "an approval of nothing": post(
        "/v1/proposals/999999/approval", 404, "number", body={"version": "a" * 16}
    ),
    "an approval without the hash": post(
        "/v1/proposals/1/approval", 400, "version", "send it", body={}
    ),
    "a rejection without a reason": post(
        "/v1/proposals/1/rejection", 400, "why", "send it", body={}
    ),
    "a release of a draft": post(
        "/v1/releases", 409, "", "propose it", body={"policy": 1, **WHY}
    ),
    "a release by what is no tag": post(
        "/v1/releases",
        400,
        "if-match",
        "current",
        body={"policy": 1, **WHY},
        headers={"if_match": "W/17"},
    ),
    "a rollback of what was not read": post(
        "/v1/releases/rollback", 428, "if-match", "releases/current", body=WHY
    ),
    "a rollback of nothing": post(
        "/v1/releases/rollback", 409, "", body=WHY, headers={"if_match": '"0"'}
    ),
    "a rollback without a reason": post(
        "/v1/releases/rollback",
        422,
        "why",
        "reason",
        body={"why": "  "},
        headers={"if_match": '"0"'},
    ),
    "a rule that cannot be one": post(
        "/v1/releases/rearmed", 400, "rule", body={"rule": "../etc", **WHY}
    ),
    "a re-arming of nothing": post(
        "/v1/releases/rearmed", 409, "", body={"rule": "velocity", **WHY}
    ),
    # Backtests
    "a backtest where there is no archive": backtest(
        409, "", "SCORING_ARCHIVE_DIR", policy=1
    ),
    "a backtest of a number in quotes": backtest(400, "policy", policy="1"),
    "a backtest of no days": backtest(400, "days", policy=1, days=0),
    "a backtest of all times": backtest(400, "days", policy=1, days=10**9),
    "a backtest of half a day": backtest(400, "days", policy=1, days=0.5),
    "a backtest by another name": backtest(400, "version", "leave", version=1),
    "a rule of nothing": backtest(400, "rule", rule=""),
    "a label before its payment": backtest(
        400, "label_delay_days", policy=1, label_delay_days=-1
    ),
    "a backtest that is not there": get("/v1/backtests/999999", 404, "number"),
    "a backtest of no hash": get("/v1/backtests?version=live", at="version"),
    "an end of a backtest that is not there": BadRequest(
        "DELETE", "/v1/backtests/999999", 404, "number"
    ),
    # Archived payments
    "a payment where there is no archive": look_up(409, "", "SCORING_ARCHIVE_DIR"),
    "a payment of no id": look_up(400, "transaction", transaction=""),
    "a payment of all times": look_up(400, "days", days=10**9),
    "a payment of a time in words": look_up(400, "near_ms", near_ms="yesterday"),
    "a payment by a token that links none": look_up(
        400, "tokens.colour", tokens={"colour": "red"}
    ),
    # People
    "a role that there is not": post(
        "/v1/people", 400, "roles.0", body={"name": "ann", "roles": ["root"]}
    ),
    "a person without a role": post(
        "/v1/people", 400, "roles", body={"name": "ann", "roles": []}
    ),
    "a person without a name": post(
        "/v1/people", 400, "name", body={"name": "", "roles": ["viewer"]}
    ),
    "a name that is like another": post(
        "/v1/people", 400, "name", body={"name": " ann", "roles": ["viewer"]}
    ),
    "a card number for a name": post(
        "/v1/people", 400, "name", "token", body={"name": CARD, "roles": ["viewer"]}
    ),
    "somebody who has no token": BadRequest("DELETE", "/v1/people/zoe", 404, "name"),
}
