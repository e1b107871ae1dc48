"""The console before a real control plane in this process, for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from control_parts import TEXTS, Clock, settled, with_archive

from scoring.backtest.levels import levels_by_cost
from scoring.cli.plane.in_process import InProcess
from scoring.client.control_plane import ControlApi
from scoring.console import assets
from scoring.console.app import console_app
from scoring.console.live import LiveFeed
from scoring.console.pages import Pages
from scoring.console.payments.decisions import CatalogueNames
from scoring.console.sessions import Sessions
from scoring.console.visit import Desk
from scoring.control.api.app import control_api
from scoring.control.api.identity import Identity
from scoring.control.api.plane import Plane
from scoring.control.database.database import Database
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.desks.case_desk import CaseDesk
from scoring.control.desks.forget_desk import ForgetDesk
from scoring.control.desks.list_desk import ListDesk
from scoring.control.desks.model_desk import ModelDesk
from scoring.control.desks.payment_desk import ArchivedPayments, PaymentDesk
from scoring.control.desks.people_desk import PeopleDesk
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.domain.cases import CaseRules
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import Person, PersonRole
from scoring.control.replicas import Replicas
from scoring.core.features.catalogue import default_catalogue
from scoring.errors import NotExplainable, NotFound
from scoring.models.registry import ModelRegistry
from scoring.v1 import decision_pb2 as decisions
from scoring.v1.fraud_scoring_pb2 import ExplainDecisionResponse, GetDecisionResponse

URL = "http://console.test"
ADMIN = Person("of a test", frozenset({PersonRole.ADMIN}), "of a test")
CATALOGUE = default_catalogue()
_FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


@dataclass(frozen=True)
class AsHolder:
    """Requests in this process, by a token."""

    inner: InProcess
    token: str

    def exchange(self, method, target, headers, body):
        known = {**headers, "authorization": f"Bearer {self.token}"}
        return self.inner.exchange(method, target, known, body)


@dataclass
class KeptPayments:
    """Decisions by tenant and id, as a service keeps them."""

    lives: dict[tuple[str, str], GetDecisionResponse] = field(default_factory=dict)
    explained: dict[tuple[str, str], ExplainDecisionResponse] = field(
        default_factory=dict
    )
    asked: list = field(default_factory=list)

    def decision_of(self, tenant, transaction_id):
        try:
            return self.lives[tenant, transaction_id]
        except KeyError:
            raise NotFound("no decision is recorded under this id") from None

    def explanation_of(self, tenant, transaction_id):
        try:
            return self.explained[tenant, transaction_id]
        except KeyError:
            raise NotExplainable("its model is not kept any more") from None

    def asked_again(self, payments):
        self.asked += payments
        return [self.again(payment) for payment in payments]

    @staticmethod
    def again(payment):
        """A large amount is declined, whatever else."""
        outcome = "DECLINE" if payment.amount_minor > 100_000 else "APPROVE"
        return decision(payment.id, outcome=outcome)


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@dataclass
class Bench:
    """A console, its sources, and browsers that come to it."""

    plane: Plane
    desk: Desk
    app: object
    seconds: Seconds
    payments: KeptPayments
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, name: str, *roles: str) -> str:
        """A person with roles, given a token once."""
        if name not in self.tokens:
            held = frozenset(PersonRole(role) for role in roles)
            self.tokens[name] = self.plane.people.give(ADMIN, name, held)
        return self.tokens[name]

    def browser(self) -> Browser:
        """One that nobody has logged in with."""
        return Browser(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app), base_url=URL, timeout=30
            )
        )

    async def logged_in(self, name: str, *roles: str) -> Browser:
        """A browser with somebody's session."""
        browser = self.browser()
        await browser.get("/login")
        said = await browser.post("/login", token=self.token(name, *roles))
        assert said.status_code == 303, said.text
        return browser


@dataclass
class Browser:
    """Keeps cookies, and sends the newest form's token as a page's form does."""

    client: httpx.AsyncClient
    form_token: str = ""
    origin: str | None = URL

    async def get(self, path: str, **headers: str) -> httpx.Response:
        said = await self.client.get(path, headers=headers)
        found = _FORM_TOKEN.search(said.text)
        self.form_token = found[1] if found else self.form_token
        return said

    async def post(self, path: str, **fields: str) -> httpx.Response:
        headers = {} if self.origin is None else {"origin": self.origin}
        return await self.client.post(
            path, data={"form_token": self.form_token, **fields}, headers=headers
        )

    @property
    def session_id(self) -> str:
        return self.client.cookies.get("scoring_console", "")


@cache
def _migrated() -> bytes:
    """A database of today's tables: to make them takes longer than most tests."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "control.db"
        Database(f"sqlite:///{file}").migrated().close()
        return file.read_bytes()


def _models(database: Database, clock: Clock, place: Path) -> ModelDesk:
    """The desk of models, none of which is ever loaded."""
    return ModelDesk(
        database=database,
        now_ms=clock,
        rules=ControlRules(),
        registry=lambda: ModelRegistry(place),
    )


@contextmanager
def bench_at(
    directory: Path,
    rules: ControlRules | None = None,
    *,
    archive: ArchivedPayments | None = None,
) -> Iterator[Bench]:
    """A console before a control plane with a database of its own."""
    (directory / "control.db").write_bytes(_migrated())
    database = Database(f"sqlite:///{directory / 'control.db'}")
    clock, seconds, payments = Clock(), Seconds(), KeptPayments()
    people = PeopleDesk(database, now_ms=clock)
    plane = Plane(
        database=database,
        texts=TEXTS,
        policies=PolicyDesk(
            database, TEXTS, rules or ControlRules(), clock, settled=settled
        ),
        lists=ListDesk(database, clock),
        backtests=with_archive(database, clock),
        models=_models(database, clock, directory / "models"),
        cases=CaseDesk(database, clock, CaseRules()),
        forgetting=ForgetDesk(database, clock),
        payments=PaymentDesk(archive),
        people=people,
        audit=AuditDesk(database),
        replicas=Replicas(clock, 5_000),
        levels=levels_by_cost,
        identity=Identity(people=people),
    )
    inner = InProcess(control_api(plane))
    files = assets.loaded()
    live = LiveFeed(seconds, 50)
    live.fault = ""
    desk = Desk(
        control=lambda token: ControlApi(AsHolder(inner, token)),
        payments=payments,
        live=live,
        names=CatalogueNames(CATALOGUE),
        sessions=Sessions(seconds),
        assets=files,
        pages=Pages({name: file.tag for name, file in files.items()}),
        now_ms=clock,
    )
    yield Bench(plane, desk, console_app(desk), seconds, payments)
    database.close()


def decision(
    transaction_id: str,
    *,
    outcome: str = "DECLINE",
    merchant: str = "shop-1",
    amount_minor: int = 12_345,
    rule: str = "card_velocity",
    score: float = 0.75,
) -> decisions.Decision:
    """A decision as the topic has it."""
    said = decisions.Decision()
    core, payment = said.core, said.transaction
    core.tenant = payment.tenant = "default"
    core.transaction_id = payment.id = transaction_id
    core.outcome = decisions.Outcome.Value(f"OUTCOME_{outcome}")
    core.score = score
    core.reasons.add(code="CARD_VELOCITY_LIMIT", wording="Too many payments.")
    core.rule_hits.add(
        rule=rule, outcome=decisions.OUTCOME_DECLINE, mode=decisions.RULE_MODE_ENFORCE
    )
    core.versions.policy = "0123456789abcdef"
    payment.amount_minor, payment.currency = amount_minor, "EUR"
    payment.merchant = merchant
    payment.occurred_at.FromMilliseconds(1_700_000_000_000)
    said.trace.decided_at.FromMilliseconds(1_700_000_000_040)
    said.trace.stages.add(stage="observe", duration_us=1_200)
    return said


def ended(bench: Bench, figures: dict) -> None:
    """Have the queue's oldest end with these figures."""
    desk = bench.plane.backtests
    job = desk.begin("of a test")
    found = Backtest(
        number=job.number,
        version=job.new.version,
        against=job.old.version,
        accepted_count=1,
        accepted_amount_minor=1,
        declined_count=0,
        declined_amount_minor=0,
        by="",
        at_ms=0,
        figures=figures,
    )
    assert desk.finished(job, found)
