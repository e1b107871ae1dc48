"""What the demo's people have done before somebody looks, through the API as anybody.

A released policy with a history, a list, a shadow rule, a version that waits for its
second person; and, once payments come, a few cases at work and a backtest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scoring.client.control_plane import ControlApi, Refused
from scoring.core.policy.shipped_policy import shipped_text

_AUTHOR, _APPROVER, _ANALYST = "ann", "bob", "fay"
LIST = "stolen_cards"
_MANAGED = f"""\
  {LIST}:
    field: card
    then: decline
    reason_code: CARD_BLOCKED
    managed: true
"""
_LOOKED_AT = """\
  - id: large_amount
    when: transaction.amount_minor > 20000
    then: review
    reason_code: LARGE_AMOUNT
    owner: ann
    case: true
  - id: small_and_new
    when: features.customer_new_device == 1.0 && transaction.amount_minor < 500
    then: challenge
    reason_code: SMALL_AND_NEW
    mode: shadow
    owner: ann
"""
_WORDED = """\
  LARGE_AMOUNT: A large amount.
  SMALL_AND_NEW: A small amount from a device that is new to you.
"""
_IN_SHADOW = "reason_code: SMALL_AND_NEW\n    mode: shadow\n"
_CASES_WANTED = 3
_LOOK_S = 1.0
_CASES_S_MAX = 120.0

Team = Mapping[str, ControlApi]


def watched_policy() -> str:
    """The shipped policy with what is released second: a list and two rules."""
    text = shipped_text()
    for section, more in (
        ("lists:\n", _MANAGED),
        ("rules:\n", _LOOKED_AT),
        ("reasons:\n", _WORDED),
    ):
        assert text.count(f"\n{section}") == 1, section
        text = text.replace(f"\n{section}", f"\n{section}{more}")
    return text


def enforced_policy() -> str:
    """The same, where the shadow rule acts: what waits for its second person."""
    return watched_policy().replace(_IN_SHADOW, "reason_code: SMALL_AND_NEW\n")


def seed(team: Team) -> None:
    """Write the policies and the list, and release two versions."""
    _listed(team[_ANALYST])
    first = _released(team, shipped_text(), "what we begin with")
    second = _released(team, watched_policy(), "large amounts to a person", first)
    author = team[_AUTHOR]
    waiting = _drafted(author, enforced_policy(), "it caught what it should", second)
    author.post("policies", waiting["number"], "proposals", body={"why": "enforce it"})


def _listed(analyst: ControlApi) -> None:
    body = {"name": LIST, "kind": "block", "field": "card", "about": "from the bank"}
    analyst.post("lists", body=body)
    until = datetime.now(UTC) + timedelta(days=7)
    for token, expires, reason in (
        ("card-lost-1", "", "police"),
        ("card-lost-2", "", "the bank's mail"),
        ("card-lost-3", until.isoformat(timespec="seconds"), "called in"),
    ):
        entry = {"token": token, "expires": expires, "reason": reason}
        analyst.post("lists", LIST, "entries", body=entry)


def _drafted(
    author: ControlApi, text: str, why: str, based_on: int | None = None
) -> dict[str, Any]:
    body = {"text": text, "why": why, "based_on": based_on}
    policy: dict[str, Any] = author.post("policies", body=body).json["policy"]
    return policy


def _released(team: Team, text: str, why: str, based_on: int | None = None) -> int:
    """Draft, propose, approve by another, release; the version's number."""
    author = team[_AUTHOR]
    drafted = _drafted(author, text, why, based_on)
    path = ("policies", drafted["number"], "proposals")
    proposed = author.post(*path, body={"why": why}).json["proposal"]
    approval = {"version": drafted["version"], "why": "read it", "at_once": True}
    team[_APPROVER].post("proposals", proposed["number"], "approval", body=approval)
    number: int = drafted["number"]
    return number


def work_cases(team: Team, stopped: Callable[[], bool]) -> None:
    """Take, note and close one of the first cases, try what waits, ask for a report.

    Blocks until there are some; ends early once `stopped`.
    """
    cases = _first_cases(team[_ANALYST], stopped)
    if len(cases) < _CASES_WANTED:
        return
    analyst, (closed, noted, *_) = team[_ANALYST], cases
    analyst.post("cases", noted, "notes", body={"text": "asked the shop for the slip"})
    for number in (closed, noted):
        analyst.post("cases", number, "assignment", body={})
    listing = {"list": LIST, "expires": "", "reason": "never paid there"}
    closing = {"verdict": "fraud", "listings": [listing], "why": "never paid there"}
    analyst.post("cases", closed, "closing", body=closing)
    waiting = next(team[_AUTHOR].items("policies"))["number"]
    team[_AUTHOR].post("backtests", body={"policy": waiting})
    team[_AUTHOR].post("backtests", body={"report": True})


def _first_cases(analyst: ControlApi, stopped: Callable[[], bool]) -> list[int]:
    gives_up_at = time.monotonic() + _CASES_S_MAX
    found: list[int] = []
    while len(found) < _CASES_WANTED and time.monotonic() < gives_up_at:
        if stopped():
            return []
        time.sleep(_LOOK_S)
        try:
            found = [each["number"] for each in analyst.get("cases").json["items"]]
        except Refused:
            return []
    return found
