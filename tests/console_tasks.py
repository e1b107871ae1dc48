"""What people come to the console for, step by step: tests of one browser session.

`e2e/test_console_browser.py` runs them, with its console and its browser. A hand counts
what it clicks and chooses: none of these takes more than five.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from console_served import until, violations
from screenshots import Picture, take

from scoring.v1 import decision_pb2

CLICKS_MAX = 5


@dataclass
class Hand:
    """Somebody's hand: what it does with a page is counted, but for what it types."""

    page: object
    clicks: int = 0

    def click(self, role, name, **more):
        self.page.get_by_role(role, name=name, **more).first.click()
        self.clicks += 1

    def choose(self, label, option):
        self.page.get_by_label(label).select_option(label=option)
        self.clicks += 1

    def write(self, label, text):
        self.page.get_by_label(label, exact=True).fill(text)


def a_list(console) -> str:
    """The page of a list with an entry."""
    names = [each["name"] for each in console.admin.items("lists")]
    if "shown" not in names:
        body = {"name": "shown", "kind": "block", "field": "device"}
        console.admin.post("lists", body=body)
        console.admin.post("lists", "shown", "entries", body={"token": "device-1"})
    return "/lists/shown"


def test_why_a_payment_was_declined_is_found_by_its_id_in_a_click(console, come):
    often = {"card": "card-often", "device": "device-often"}
    attempts = [console.pay(**often) for _ in range(10)]
    declined = attempts[-1]
    assert declined.core.outcome == decision_pb2.OUTCOME_DECLINE
    page = come("eve")
    hand = Hand(page)
    hand.write("Id of a payment", declined.core.transaction_id)
    hand.click("button", "Find")
    page.get_by_text(declined.core.reasons[0].wording).wait_for()
    assert "the limit is 8" in page.locator("main").inner_text()
    assert hand.clicks <= CLICKS_MAX

    page.locator("#linked svg").wait_for()  # other payments of its card and device
    linked = page.locator("#linked")
    assert linked.get_by_role("link", name=attempts[-2].core.transaction_id).count()
    page.locator("#explanation table").wait_for()
    hand.write("amount_minor", "999")
    hand.click("button", "Ask again")
    page.get_by_role("columnheader", name="With your changes").wait_for()
    answer = page.locator("#what-if-answer")
    assert "from 2500 to 999" in answer.inner_text()
    assert answer.locator(".outcome.decline").count() == 3  # the amount is not why
    assert violations(page) == []


def test_a_device_is_on_a_list_until_friday_in_a_few_clicks(console, come):
    body = {"name": "stolen", "kind": "block", "field": "device"}
    console.admin.post("lists", body=body)
    page = come("fay")
    hand = Hand(page)
    hand.click("link", "Lists", exact=True)
    hand.click("link", "stolen")
    hand.write("Token to add", "device-7")
    friday = page.get_by_role("option", name=re.compile("until Friday")).inner_text()
    hand.choose("Until (UTC)", friday)
    hand.write("Reason", "seen twice")
    hand.click("button", "Add")
    page.get_by_text("device-7 is on the list").wait_for()
    assert hand.clicks <= CLICKS_MAX
    (kept,) = console.admin.get("lists", "stolen", "entries").json["items"]
    assert (kept["token"], kept["author"]) == ("device-7", "fay")
    ends = datetime.fromtimestamp(kept["until_ms"] / 1_000, UTC)
    assert f"all of {ends.date() - timedelta(days=1)}" in friday
    assert (ends.weekday(), ends.hour, ends.minute) == (5, 0, 0)
    page.get_by_label("Token", exact=True).fill("device-8")
    page.get_by_role("button", name="Look up").click()
    page.get_by_text("device-8 is not on this list").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Take off device-7").first.click()
    page.get_by_text("device-7 is off the list").wait_for()
    assert not console.admin.get("lists", "stolen", "entries").json["items"]
    page.get_by_role("button", name="Put device-7 back").click()
    page.get_by_text("device-7 is on the list").wait_for()


def test_a_file_is_tried_on_a_list_applied_and_undone(console, come):
    path = a_list(console)
    page = come("fay", path)
    file = {"name": "partner.csv", "mimeType": "text/csv"}
    content = b"token\ndevice-1\ndevice-2\n"
    page.get_by_label("File (CSV or JSON lines)").set_input_files(
        {**file, "buffer": content}
    )
    until(lambda: page.get_by_label(re.compile("^Its text")).input_value())
    page.get_by_role("button", name="Say what it would change").click()
    page.get_by_text("Nothing is changed yet").wait_for()
    assert violations(page) == []
    assert console.admin.get("lists", "shown").json["count"] == 1
    page.get_by_role("button", name="Apply it: 1 added").click()
    page.get_by_text("The file is applied").wait_for()
    assert console.admin.get("lists", "shown").json["count"] == 2
    page.get_by_role("button", name="Undo it").click()
    page.get_by_text("The import is undone").wait_for()
    assert console.admin.get("lists", "shown").json["count"] == 1


def test_cases_are_closed_by_single_keys_unless_somebody_writes_or_wants_none(
    console, come
):
    for _ in range(2):
        console.pay(amount_minor=30_000, merchant="shop-keys")
    page = come("fay", "/cases?merchant=shop-keys")
    until(lambda: page.reload() and page.locator("tbody a").count() == 2)
    page.locator("tbody a").first.click()
    first = page.locator("h1").inner_text()
    page.get_by_label("Note").press("r")  # is written
    page.get_by_role("button", name="Keys").click()
    page.keyboard.press("r")  # is switched off
    page.reload()
    page.keyboard.press("r")  # and stays so
    assert page.locator("h1").inner_text() == first
    page.get_by_role("button", name="Keys").click()
    page.locator("h1").click()
    page.keyboard.press("n")
    until(lambda: page.locator("h1").inner_text() != first)
    page.keyboard.press("a")
    page.get_by_text("is closed: legitimate").wait_for()
    assert page.locator("h1").inner_text() == first
    assert violations(page) == []
    page.keyboard.press("r")
    page.get_by_text("is closed: fraud. No case is open.").wait_for()


def test_many_cases_are_counted_before_anything_is_done(console, come):
    for _ in range(2):
        console.pay(amount_minor=30_000, merchant="shop-many")
    page = come("fay", "/cases?merchant=shop-many")
    until(lambda: page.reload() and page.locator("tbody a").count() == 2)
    page.get_by_label("With all that these filters show").select_option("legitimate")
    page.get_by_role("button", name="Count them first").click()
    page.get_by_text("2 cases", exact=True).wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Do it with 2 cases").click()
    page.get_by_text("Done with 2 cases").wait_for()


def test_the_pictures_of_the_readme_can_be_taken(console, browser, tmp_path):
    console.pay()
    row = Picture("one", "/live", "dark", "#rows a", "#explanation svg")
    files = take(browser, console.url, console.tokens["eve"], tmp_path, (row,))
    assert files[0].read_bytes().startswith(b"\x89PNG")
