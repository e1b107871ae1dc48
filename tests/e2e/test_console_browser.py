"""The console in a real browser, before a real service and control plane."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

import pytest
from console_served import JUDGED_WITHIN_S, chromium, console_serving, until, violations
from console_tasks import (  # noqa: F401 - tests of this session
    CLICKS_MAX,
    Hand,
    a_list,
    test_a_device_is_on_a_list_until_friday_in_a_few_clicks,
    test_a_file_is_tried_on_a_list_applied_and_undone,
    test_cases_are_closed_by_single_keys_unless_somebody_writes_or_wants_none,
    test_many_cases_are_counted_before_anything_is_done,
    test_the_pictures_of_the_readme_can_be_taken,
    test_why_a_payment_was_declined_is_found_by_its_id_in_a_click,
)

from scoring.console.threshold_pages import FIELDS
from scoring.core.policy.shipped_policy import shipped_text
from scoring.v1 import decision_pb2

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def console(tmp_path_factory, model_dir):
    with console_serving(tmp_path_factory.mktemp("console"), model_dir) as served:
        yield served


@pytest.fixture(scope="module")
def browser(console):  # noqa: ARG001 - first: the browser's loop holds this thread
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def nothing_was_wrong(browser):
    """Whatever the tests do, no page complains and none asks another host."""
    yield
    assert not browser.seen.errors
    assert not browser.seen.elsewhere


@pytest.fixture
def come(console, browser):
    """Somebody's browser, logged in."""
    pages = []

    def coming(name, path="/live", **context):
        page = browser.page(console.url, **{"viewport": WIDE, **context})
        pages.append(page)
        page.goto(path)
        page.get_by_label("Your token of the control plane").fill(console.tokens[name])
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"**{path}")
        return page

    yield coming
    for page in pages:
        page.context.close()


def rows(page):
    return page.locator("#rows tr").count()


def row_of(page, decision):
    return page.get_by_role("link", name=decision.core.transaction_id)


def test_a_decision_arrives_on_a_page_that_is_open(console, come):
    page = come("eve")
    decided = console.pay(merchant="shop-live")
    row_of(page, decided).wait_for()
    assert page.locator("#figures .tiles").is_visible()


def test_a_filter_shows_what_is_asked_for_alone_also_of_what_comes_later(console, come):
    page = come("eve")
    page.get_by_label("Merchant").fill("shop-wanted")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**merchant=shop-wanted**")
    other = console.pay(merchant="shop-other")
    wanted = console.pay(merchant="shop-wanted")
    row_of(page, wanted).wait_for()
    assert row_of(page, other).count() == 0


def test_nothing_moves_while_it_is_paused_and_nothing_is_missed_after(console, come):
    page = come("eve")
    row_of(page, console.pay()).wait_for()
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    assert pause.get_attribute("aria-pressed") == "true"
    missed = console.pay()
    other = come("fay")
    row_of(other, missed).wait_for()  # so it has come, for who does not pause
    assert row_of(page, missed).count() == 0
    pause.click()
    row_of(page, missed).wait_for()


def test_the_keyboard_keeps_its_place_in_the_feed_while_decisions_come(console, come):
    page = come("eve")
    row_of(page, console.pay()).wait_for()
    page.locator("#rows a").first.focus()
    assert page.locator("#pause-state").inner_text() == "Paused"
    held = page.evaluate("document.activeElement.textContent")
    missed = console.pay()
    other = come("fay")
    row_of(other, missed).wait_for()
    assert page.evaluate("document.activeElement.textContent") == held
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/d/default/"))
    assert held in page.locator("h1").inner_text()


def test_a_decision_says_why_by_what_and_how_fast(console, come):
    decided = console.pay(amount_minor=123_456, merchant="shop-told")
    page = come("eve", f"/d/default/{decided.core.transaction_id}")
    page.locator("#explanation svg").first.wait_for()
    text = page.locator("main").inner_text()
    assert decided.core.reasons[0].wording in text
    assert decided.core.versions.policy in text
    assert decided.core.versions.model in text
    assert "unknown" in text
    assert "vectorise" in text
    until(lambda: "shop-told" in _again(page))


def _again(page):
    page.reload()
    return page.locator("main").inner_text()


def test_a_link_that_is_followed_before_the_login_leads_there_after_it(console, come):
    decided = console.pay()
    page = come("eve", f"/d/default/{decided.core.transaction_id}")
    assert decided.core.transaction_id in page.title()


def test_a_policy_of_a_file_is_said_to_be_one(console, come):
    decided = console.pay()
    page = come("eve", f"/d/default/{decided.core.transaction_id}")
    page.get_by_role("link", name=decided.core.versions.policy).click()
    page.wait_for_url("**/policy/version/**")
    assert "never the control plane's" in page.locator("main").inner_text()


def good(number: int) -> str:
    """The shipped policy under another name."""
    return shipped_text().replace("name: card payments", f"name: policy {number}")


def drafted(page, content: str) -> str:
    """Have a draft kept; the path of its page."""
    page.goto("/policy/new")
    page.get_by_label("Text").fill(content)
    page.get_by_text("The text is good").wait_for()
    page.get_by_label("Why").fill("of a test")
    page.get_by_role("button", name="Save the draft").click()
    page.wait_for_url(re.compile(r"/policy/\d+$"))
    return urlsplit(page.url).path


def backtested(page):
    """Have the version of a page backtested, and wait until its figures are there."""
    page.get_by_role("button", name="Backtest it").click()
    found = page.get_by_role("heading", name="What becomes of the payments")
    found.wait_for(timeout=JUDGED_WITHIN_S * 1_000)
    assert violations(page) == []


def test_a_mistake_is_shown_as_it_is_written_with_line_caret_and_remedy(come):
    page = come("ann", "/policy/new")
    wrong = good(0).replace("features.card_payments_1h >", "features.card_paymnts_1h >")
    page.get_by_label("Text").fill(wrong)
    told = page.locator("#check")
    told.get_by_text("did you mean").wait_for()
    lines = told.locator("pre").first.inner_text().splitlines()
    assert lines[0][lines[1].index("^") :].startswith("card_paymnts_1h")
    assert violations(page) == []
    told.get_by_role("button", name=re.compile(r"Line \d+")).first.click()
    marked = page.evaluate("getSelection().toString()")
    assert "card_paymnts_1h" in marked
    page.get_by_label("Text").fill(good(0))
    told.get_by_text("The text is good").wait_for()


def test_a_change_goes_from_a_draft_by_a_second_person_to_the_next_decision(
    console, browser, come
):
    writer = come("cat", "/policy")
    path = drafted(writer, good(1).replace("decline: 0.50", "decline: 0.45"))
    backtested(writer)
    writer.get_by_role("button", name="Propose").click()
    writer.get_by_text("proposal 1 is open").wait_for()
    assert violations(writer) == []

    own = writer.get_by_label("Why it may decide")
    own.fill("it is mine")
    with browser.refusal(403):
        writer.get_by_role("button", name="Approve").click()
        writer.get_by_text("another person approves it").wait_for()

    reader = come("eve", path)
    assert reader.get_by_role("button", name="Approve").count() == 0
    assert reader.get_by_role("button", name="Withdraw").count() == 0

    approver = come("bob", "/policy")
    approver.get_by_role("link", name="Version 1").click()
    approver.wait_for_url(f"**{path}")
    approver.get_by_label("Why it may decide").fill("looked at together")
    approver.get_by_role("button", name="Approve").click()
    approver.get_by_text("is on its way to every process").wait_for()
    version = approver.locator("dl.facts code").first.inner_text()
    assert violations(approver) == []

    until(lambda: console.pay().core.versions.policy == version)
    decided = console.pay(amount_minor=30_000)
    approver.goto(f"/d/default/{decided.core.transaction_id}")
    approver.locator("#explanation table").wait_for()
    assert "features.customer_ratio: unknown" in approver.locator("main").inner_text()
    approver.get_by_role("link", name=version).click()
    approver.get_by_text("written by cat").wait_for()

    approver.goto("/policy/history")
    assert violations(approver) == []
    assert approver.get_by_role("cell", name="looked at together").is_visible()


def test_a_rule_that_misbehaves_is_proposed_for_shadow_in_a_few_clicks(console, come):
    a_policy(console)
    page = come("cat")
    hand = Hand(page)
    hand.click("link", "Policy", exact=True)
    page.wait_for_url("**/policy")
    hand.click("link", re.compile("^[0-9]+$"))
    hand.click("button", "Draft with card_velocity as shadow")
    page.get_by_role("heading", name="Propose it").wait_for()
    hand.click("button", "Propose")
    page.get_by_text("is open").first.wait_for()
    assert hand.clicks <= CLICKS_MAX
    assert "mode: shadow" in page.locator("main").inner_text()
    page.get_by_label("Why not").fill("of a test")
    page.get_by_role("button", name="Withdraw").click()
    page.wait_for_load_state()


def test_whoever_is_on_call_takes_a_release_back(console, come):
    page = come("cat", "/policy")
    path = drafted(page, good(2).replace("decline: 0.50", "decline: 0.60"))
    page.get_by_role("button", name="Propose").click()
    page.get_by_text("is open").first.wait_for()
    page.goto(f"{path}/diff")
    assert "+  default: {challenge: 0.05" in page.locator("main").inner_text()
    assert violations(page) == []
    other = come("bob", path)
    other.get_by_label("Why it may decide").fill("a try")
    other.get_by_role("button", name="Approve").click()
    other.get_by_text("is on its way to every process").wait_for()
    other.goto("/live")
    hand = Hand(other)
    hand.click("link", "Policy", exact=True)
    hand.click("link", "Releases and rollback")
    hand.write("Why", "too many declines")
    hand.click("button", "Roll back")
    other.get_by_text("is on its way to every process").wait_for()
    assert hand.clicks <= CLICKS_MAX
    before = console.admin.get("policies", 1).json["version"]
    until(lambda: console.pay().core.versions.policy == before)
    other.goto("/health")
    other.get_by_text("current", exact=True).first.wait_for()
    assert violations(other) == []


def test_a_case_comes_to_the_queue_and_its_closing_is_a_label(console, come):
    decided = console.pay(amount_minor=30_000, merchant="shop-case")
    assert decided.core.outcome == decision_pb2.OUTCOME_REVIEW
    page = come("fay", "/cases?merchant=shop-case")
    until(lambda: page.reload() and page.locator("tbody a").count() == 1)
    assert violations(page) == []
    page.locator("tbody a").click()
    page.get_by_role("button", name="Take it").click()
    page.get_by_text("The case is yours").wait_for()
    page.get_by_label("Why").fill("the customer called")
    assert violations(page) == []
    page.get_by_role("button", name="Close the case").click()
    page.get_by_text("Label 1: fraud").wait_for()
    page.get_by_role("link", name=decided.core.transaction_id).click()
    page.get_by_text("decided: review").wait_for()


def a_policy(console) -> str:
    """The page of a version, drafted where there is none."""
    for each in console.admin.items("policies"):
        return f"/policy/{each['number']}"
    made = console.admin.post("policies", body={"text": good(9)}).json
    return f"/policy/{made['policy']['number']}"


def a_backtest(console, **of) -> int:
    """The number of a backtest that is done, asked for where there is none."""
    wanted = "true" if "report" in of else "false"
    for each in console.admin.items("backtests", reports=wanted):
        return each["number"]
    asked = console.admin.post("backtests", body={"days": 50, **of}).json["number"]
    until(
        lambda: console.admin.get("backtests", asked).json["state"] == "done",
        JUDGED_WITHIN_S,
    )
    return asked


COSTS = urlencode({name: example for name, _, _, example in FIELDS})


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_in_both_themes_and_fits_a_telephone(
    console, come, theme
):
    decided = console.pay()
    page = come("eve", color_scheme=theme)
    row_of(page, decided).wait_for()
    payment = f"/d/default/{decided.core.transaction_id}"
    policy = a_policy(console)
    tried = a_backtest(console, policy=int(policy.rpartition("/")[2]))
    backtest = f"/policy/backtests/{tried}"
    report = f"/reports/{a_backtest(console, report=True)}"
    pages = (
        *("/policy", policy, "/policy/history", "/lists", a_list(console)),
        *(backtest, f"{backtest}/thresholds?{COSTS}", "/models", report),
    )
    page.goto("/cases")
    page.get_by_role("link", name="Next open case").click()
    case = urlsplit(page.url).path
    for path in ("/live", payment, "/health", "/cases", case, *pages):
        page.goto(path)
        if path == payment:
            page.locator("#explanation table").wait_for()
            page.locator("#linked dl").wait_for()
        assert violations(page) == [], path
        page.set_viewport_size(NARROW)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        page.set_viewport_size(WIDE)


def test_the_theme_can_be_chosen_and_stays_chosen(come):
    page = come("eve", color_scheme="light")
    page.get_by_role("button", name="Theme: system").click()
    page.reload()
    assert page.get_by_role("button", name="Theme: dark").is_visible()
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(13, 17, 23)"
    assert violations(page) == []


def test_the_pages_say_the_same_without_scripts(console, come):
    decided = console.pay()
    page = come("eve", java_script_enabled=False)
    until(lambda: _shows(page, decided))


def _shows(page, decided):
    page.reload()
    return decided.core.transaction_id in page.locator("#rows").inner_text()


def test_logging_out_leads_to_the_login_and_the_way_back_is_closed(come):
    page = come("eve")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto("/live")
    assert "/login" in page.url
