"""Requests about cases as no caller should send them, and what each gets."""

from __future__ import annotations

from bad_control_requests import CARD, BadRequest, get, post

CASE = "/v1/cases/999999"
OLDEST_CURSOR = "b2xkZXN0MS4x"  # oldest1.1
BAD_OF_CASES: dict[str, BadRequest] = {
    "a case that is not there": get("/v1/cases/999999", 404, "number", "list"),
    "a case that is a word": get("/v1/cases/mine", at="number", remedy="digits"),
    "a case's state that there is not": get("/v1/cases?state=lost", at="state"),
    "an order that there is not": get("/v1/cases?order=random", at="order"),
    "a filter that there is not": get("/v1/cases?card=c1", at="card", remedy="leave"),
    "an amount below none": get("/v1/cases?worth_from=-1", at="worth_from"),
    "a cursor of another order": get(
        f"/v1/cases?order=largest&cursor={OLDEST_CURSOR}", at="cursor", remedy="begin"
    ),
    "a cursor of a list of policies": get("/v1/cases?cursor=bjE", at="cursor"),
    "an assignment of no case": post(f"{CASE}/assignment", 404, "number", body={}),
    "a revision below one": post(
        f"{CASE}/assignment", 400, "revision", body={"revision": 0}
    ),
    "an assignee of two lines": post(
        "/v1/case-bulks", 400, "to", body={"filter": {}, "assign_to": "a\nb"}
    ),
    "a note of nothing": post(f"{CASE}/notes", 400, "text", body={"text": ""}),
    "a note as long as a book": post(
        f"{CASE}/notes", 400, "text", body={"text": "a" * 4_001}
    ),
    "a note with a card number": post(
        f"{CASE}/notes", 400, "text", "token", body={"text": f"hers: {CARD}"}
    ),
    "a note with NUL": post(f"{CASE}/notes", 400, "body", raw=b'{"text": "a\\u0000"}'),
    "an end without a verdict": post(
        f"{CASE}/closing", 400, "verdict", "send it", body={}
    ),
    "a verdict that there is not": post(
        f"{CASE}/closing", 400, "verdict", body={"verdict": "guilty"}
    ),
    "an end for a card number": post(
        f"{CASE}/closing", 400, "why", "token", body={"verdict": "fraud", "why": CARD}
    ),
    "an entry without its list": post(
        f"{CASE}/closing",
        400,
        "listings.0.list",
        "send it",
        body={"verdict": "fraud", "listings": [{"expires": ""}]},
    ),
    "more entries than one end has": post(
        f"{CASE}/closing",
        400,
        "listings",
        body={"verdict": "fraud", "listings": [{"list": "a"}] * 11},
    ),
    "a label's version below none": post(
        f"{CASE}/closing",
        400,
        "label_version",
        body={"verdict": "fraud", "label_version": -1},
    ),
    "a look-up of nothing": post(
        "/v1/case-look-up", 400, "token", body={"shared": "card", "token": ""}
    ),
    "a look-up by what is not shared": post(
        "/v1/case-look-up", 400, "shared", body={"shared": "iban", "token": "t"}
    ),
    "a payment that is forgotten": post(
        "/v1/case-forgettings", 400, "shared", body={"shared": "payment", "token": "t"}
    ),
    "a token that the audit would keep": post(
        "/v1/case-forgettings",
        400,
        "why",
        body={"shared": "card", "token": "tok_1", "why": "tok_1 asked"},
    ),
    "many at once, and nothing to do": post(
        "/v1/case-bulks", 400, "closing", body={"filter": {}}
    ),
    "many at once, and two things to do": post(
        "/v1/case-bulks",
        400,
        "closing",
        body={"filter": {}, "release": True, "assign_to": ""},
    ),
    "many at once without a filter": post(
        "/v1/case-bulks", 400, "filter", "send it", body={"release": True}
    ),
    "a selection that is no hash": post(
        "/v1/case-bulks",
        400,
        "selection",
        body={"filter": {}, "release": True, "selection": "all"},
    ),
    "a selection that was never shown": post(
        "/v1/case-bulks",
        409,
        "",
        "look",
        body={"filter": {}, "release": True, "selection": "0" * 64},
    ),
}
