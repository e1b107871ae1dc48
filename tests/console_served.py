"""The console with all that it shows, as processes of their own, and a browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import toolbox
from backtest_parts import ledger_archive
from playwright.sync_api import Page, sync_playwright

from scoring import client
from scoring.client.control_plane import ControlApi, OverHttp
from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Channel, Transaction
from scoring.embedded.child import free_port
from scoring.embedded.service import parts, services
from scoring.kafka.topic_names import Topics

WITHIN_S = 60.0
JUDGED_WITHIN_S = 240.0  # a backtest steps back for whatever else the machine does
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_ROLES = {
    "ann": ("author",),
    "cat": ("author", "approver"),
    "bob": ("approver",),
    "fay": ("analyst",),
    "eve": ("viewer",),
}


@dataclass
class ServedConsole:
    """A running console: its address, people's tokens, and the service behind it."""

    url: str
    admin: ControlApi
    payments: client.Client
    tokens: dict[str, str] = field(default_factory=dict)

    def pay(self, **fields) -> object:
        """Have a payment decided; its decision."""
        known = {
            "tenant": "default",
            "id": f"t-{uuid4().hex.translate(_LETTERS)}",
            "occurred_at_ms": time.time_ns() // 1_000_000,
            "amount_minor": 2_500,
            "currency": "EUR",
            "card": f"card-{uuid4().hex[:6].translate(_LETTERS)}",
            "merchant": "shop-1",
            "channel": Channel.ECOMMERCE,
        }
        return self.payments.check(Transaction(**{**known, **fields}), timeout_s=10)


@contextmanager
def console_serving(directory: Path, model_dir: Path) -> Iterator[ServedConsole]:
    """Store, broker, service, control plane and console, until the block ends."""
    with ExitStack() as stack:
        running = stack.enter_context(parts())
        environment = {
            **running.environment,
            "SCORING_NAMESPACE": "console",
            "SCORING_TOPIC_PREFIX": "console.",
            "SCORING_MODEL_DIR": str(model_dir),
            "SCORING_STATE_DIR": str(directory),
            "SCORING_ARCHIVE_DIR": str(directory / "archive"),
            "SCORING_POLICY_FROM": "control",
            "SCORING_BUDGET_MS": "2000",
            "SCORING_STORE_BUDGET_MS": "1000",
            "SCORING_DRAIN_NOTICE_S": "0",
            "SCORING_GRPC_ADDRESS": f"127.0.0.1:{free_port()}",
            "SCORING_CONTROL_ADDRESS": f"127.0.0.1:{free_port()}",
            "SCORING_CONSOLE_ADDRESS": "127.0.0.1:0",
        }
        environment["SCORING_TARGET"] = environment["SCORING_GRPC_ADDRESS"]
        _create_topics(running)
        ledger_archive(directory / "archive", default_catalogue())
        commands = ("serve", "control", "console")
        started = services(commands, environment, directory=directory)
        serve, control, console = stack.enter_context(started)
        payments = stack.enter_context(client.Client(serve.address, timeout_s=10))
        token = (directory / "control.token").read_text().strip()
        admin = ControlApi(OverHttp(control.address, token))
        served = ServedConsole(console.address, admin, payments)
        for name, roles in _ROLES.items():
            said = admin.post("people", body={"name": name, "roles": list(roles)})
            served.tokens[name] = said.json["token"]
        yield served


def _create_topics(running) -> None:
    import asyncio

    from scoring.kafka.topic_admin import create_topics

    asyncio.run(create_topics(running.client, Topics("console."), partitions=1))


# A browser ------------------------------------------------------------------------


@dataclass
class Seen:
    """What a browser's console and network have shown that they must not."""

    errors: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


@dataclass
class Chromium:
    """Debian's Chromium without a window, one context a person."""

    browser: object
    seen: Seen = field(default_factory=Seen)

    def page(self, url: str, **context) -> Page:
        """A page of somebody new; whatever it complains of is kept."""
        opened = self.browser.new_context(base_url=url, **context)
        page = opened.new_page()
        page.set_default_timeout(WITHIN_S * 1_000)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.seen.errors.append(str(error)))
        page.on("request", self._asked)
        return page

    @contextmanager
    def refusal(self, status: int) -> Iterator[None]:
        """A form that is refused on purpose, which a browser's console mentions."""
        before = len(self.seen.errors)
        yield
        told = self.seen.errors[before:]
        assert all(f"status of {status}" in each for each in told), told
        del self.seen.errors[before:]

    def _heard(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.seen.errors.append(f"{message.text} {message.location}")

    def _asked(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            self.seen.elsewhere.append(request.url)


@contextmanager
def chromium() -> Iterator[Chromium]:
    """The browser, until the block ends."""
    program = toolbox.required(toolbox.chromium)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=str(program), args=["--no-sandbox"]
        )
        try:
            yield Chromium(browser)
        finally:
            browser.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds on a page by WCAG 2.2 A and AA, a line each."""
    script = toolbox.required(toolbox.axe_core)
    # Evaluated, not added as a script: the page's policy allows none of others.
    page.evaluate(script.read_text())
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate(
        "async (tags) => (await axe.run({runOnly: tags})).violations", tags
    )
    return [
        f"{each['id']}: {json.dumps([node['html'][:120] for node in each['nodes']])}"
        for each in found
    ]


def until(known: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + within_s
    while not known():
        assert time.monotonic() < ends, "it never was so"
        time.sleep(0.05)
