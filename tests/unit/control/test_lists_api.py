"""Managed lists through the API, as the commands use it."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace

import pytest
from control_parts import EVE, FAY, TEXTS, Clock, settled, without_archive

from scoring.cli.plane.in_process import InProcess
from scoring.cli.plane.list_files import ImportOf, followed, imported, moved_from
from scoring.client.control_plane import ControlApi, Refused
from scoring.control.api import lists
from scoring.control.api.app import control_api
from scoring.control.api.identity import Identity
from scoring.control.api.import_jobs import ImportJobs
from scoring.control.api.plane import Plane, Visitor
from scoring.control.database.database import Database
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.desks.case_desk import CaseDesk
from scoring.control.desks.forget_desk import ForgetDesk
from scoring.control.desks.list_desk import EntryWish, ListDesk
from scoring.control.desks.model_desk import ModelDesk
from scoring.control.desks.people_desk import PeopleDesk
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.domain.cases import CaseRules
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.list_file import ListFile
from scoring.control.domain.people import By
from scoring.control.replicas import Replicas
from scoring.errors import BadArtifact, Unavailable


@pytest.fixture
def plane(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    clock = Clock()
    yield Plane(
        database=database,
        texts=TEXTS,
        policies=PolicyDesk(database, TEXTS, ControlRules(), clock, settled=settled),
        lists=ListDesk(database, clock),
        backtests=without_archive(database, clock),
        models=ModelDesk(database=database, now_ms=clock, rules=ControlRules()),
        cases=CaseDesk(database, clock, CaseRules()),
        forgetting=ForgetDesk(database, clock),
        people=PeopleDesk(database, now_ms=clock),
        audit=AuditDesk(database),
        replicas=Replicas(clock, 5_000),
        person=FAY,
    )
    database.close()


@pytest.fixture
def api(plane):
    api = ControlApi(InProcess(control_api(plane)))
    api.post("lists", body={"name": "stolen", "kind": "block", "field": "card"})
    return api


def tokens(api, name="stolen"):
    return [each["token"] for each in api.items("lists", name, "entries", limit=2)]


async def test_of_a_stranger_no_content_is_read(plane):
    app = control_api(replace(plane, person=None, identity=Identity()))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/lists/stolen/imports",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("192.0.2.1", 1),
        "state": {},
    }
    said, read = [], []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": b"{" * 1_000, "more_body": True}

    async def send(message):
        said.append(message)

    async with asyncio.timeout(10):
        await app(scope, receive, send)
    assert said[0]["status"] == 401
    assert read == []


def test_entries_are_put_on_looked_up_paged_and_taken_off(api):
    for n in range(5):
        told = api.post("lists", "stolen", "entries", body={"token": f"c{n}"}).json
        assert told["changed"]
    assert not api.post("lists", "stolen", "entries", body={"token": "c0"}).json[
        "changed"
    ]
    assert tokens(api) == ["c0", "c1", "c2", "c3", "c4"]
    entry = api.post("lists", "stolen", "look-up", body={"token": "c3"}).json
    assert (entry["author"], entry["until_ms"]) == ("fay", None)
    api.post("lists", "stolen", "removals", body={"token": "c3"})
    with pytest.raises(Refused, match="is not on list"):
        api.post("lists", "stolen", "look-up", body={"token": "c3"})


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (("entries",), {"token": "4111111111111111"}, "token: holds a card number"),
        (("entries",), {"token": ""}, "token: is required"),
        (("entries",), {"token": "c", "expires": "soon"}, "expires: 'soon' is no"),
        (("entries",), {"token": 7}, "token: "),
        (("entries",), {"token": "c", "until": ""}, "until: "),
        (("entries",), {"token": "c", "revision": 99}, "is at revision 1, not 99"),
        (("imports",), {"source": "a.csv", "content": "token\n x\n"}, "line 2: token"),
        (("imports",), {"source": "", "content": "token\nx\n"}, "source: is required"),
        (("imports", 9, "application"), {}, "has no import 9"),
        (("deletion",), {}, "write a reason"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(api, path, body, told):
    with pytest.raises(Refused, match=told):
        api.post("lists", "stolen", *path, body=body)
    assert api.get("lists", "stolen").json["revision"] == 1


def test_a_file_goes_in_and_its_export_is_a_file_that_changes_nothing(api, capsys):
    text = b"token,expires,reason\na,,stolen\nb,2026-03-01T12:00:00.001Z,\n"
    imported(ImportOf(api, dry_run=True), "stolen", "cards.csv", text)
    assert tokens(api) == []
    imported(ImportOf(api), "stolen", "cards.csv", text)
    assert tokens(api) == ["a", "b"]
    exported = api.get("lists", "stolen", "export").body
    assert len([json.loads(line) for line in exported.splitlines()]) == 2
    imported(ImportOf(api, replace=True), "stolen", "again.jsonl", exported)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == (
        "stolen: would change: 2 added, 0 changed, 0 removed, 0 as they were"
    )
    assert "0 added, 0 changed, 0 removed, 2 as they were" in printed[2]


def test_a_file_that_takes_long_is_answered_at_once_and_asked_for_by_its_number(
    api, monkeypatch
):
    on = threading.Event()
    parts = ListFile.entries

    def slow(self, lines, progress):
        progress(1)
        assert on.wait(30)
        return parts(self, lines, progress)

    monkeypatch.setattr(ListFile, "entries", slow)
    body = {"source": "a.csv", "content": "token\nc1\n", "wait_s": 0}
    reply = api.post("lists", "stolen", "imports", body=body)
    told = reply.json
    assert (reply.status, told["state"], told["running"]) == (202, "reading", True)
    assert reply.headers["location"] == f"/v1/lists/stolen/imports/{told['number']}"
    of_it = ("lists", "stolen", "imports", told["number"])
    assert 0 < api.get(*of_it).json["progress"] < 1
    with pytest.raises(Refused, match="only one that is read can be applied"):
        api.post(*of_it, "application", body={})
    on.set()
    read = followed(api, of_it[:3], body, told="reading")  # another one, to its end
    assert (read["state"], read["added"]) == ("read", 1)
    done = followed(api, (*of_it, "application"), {}, told="applying")
    assert (done["state"], done["running"]) == ("applied", False)


@pytest.fixture
def held(monkeypatch):
    """Holds each application of an import until it is set."""
    on = threading.Event()
    apply = ListDesk.apply

    def slow(*given, **named):
        assert on.wait(30)
        return apply(*given, **named)

    monkeypatch.setattr(ListDesk, "apply", slow)
    yield on
    on.set()


def read_import(api):
    body = {"source": "a.csv", "content": "token\nc1\n"}
    told = api.post("lists", "stolen", "imports", body=body).json
    return ("lists", "stolen", "imports", told["number"])


def test_an_import_that_is_being_applied_is_hidden_by_nobody_who_asks_again(
    api, plane, held
):
    of_it = read_import(api)
    assert api.post(*of_it, "application", body={"wait_s": 0}).json["running"]
    viewer = ControlApi(InProcess(control_api(replace(plane, person=EVE))))
    with pytest.raises(Refused, match="may not"):
        viewer.post(*of_it, "application", body={"wait_s": 0})
    with pytest.raises(Refused, match="only one that is applied can be undone"):
        api.post(*of_it, "undoing", body={"wait_s": 0})
    again = api.post(*of_it, "application", body={"wait_s": 0})
    assert (again.status, again.json["running"]) == (202, True)
    assert api.get(*of_it).json["running"]
    held.set()
    done = plane.jobs.of(of_it[-1]).future.result(20)
    assert done.state == "applied"
    assert api.get(*of_it).json["problems"] == []
    assert api.get("lists", "stolen").json["revision"] == 2


class TwoCopies:
    """A balancer: one copy is asked to do things, the other how far they are."""

    def __init__(self, plane, looked):
        other = replace(plane, jobs=ImportJobs())
        self.does, self.tells = (InProcess(control_api(p)) for p in (plane, other))
        self.looked = looked

    def exchange(self, method, target, headers, body):
        if method == "GET":
            self.looked()
            return self.tells.exchange(method, target, headers, body)
        return self.does.exchange(method, target, headers, body)


@pytest.mark.usefixtures("api")
def test_an_import_that_another_copy_applies_is_waited_for(
    plane, held, monkeypatch, capsys
):
    monkeypatch.setattr("scoring.cli.plane.list_files._AT_ONCE_S", 0.0)
    applying = threading.Event()
    jobs = ImportJobs.done

    def done(*given, **named):
        if plane.jobs.of(given[1]) is not None:
            applying.set()
        return jobs(*given, **named)

    monkeypatch.setattr(ImportJobs, "done", done)
    looks = []

    def looked():
        looks.append(applying.is_set())
        if sum(looks) == 3:
            held.set()

    copies = ControlApi(TwoCopies(plane, looked))
    imported(ImportOf(copies), "stolen", "a.csv", b"token\nc1\n")
    assert "stolen: import 1: 1 added" in capsys.readouterr().out
    assert tokens(copies) == ["c1"]
    assert sum(looks) >= 3


@pytest.mark.usefixtures("held")
def test_an_import_that_is_not_known_to_be_applied_is_no_success(
    api, plane, monkeypatch
):
    monkeypatch.setattr("scoring.cli.plane.list_files._AT_ONCE_S", 0.0)
    monkeypatch.setattr("scoring.cli.plane.list_files._SILENT_S", 0.5)
    of_it = read_import(api)
    copies = ControlApi(TwoCopies(plane, lambda: None))
    with pytest.raises(Unavailable, match="is read and not known to be applied"):
        followed(copies, (*of_it, "application"), {}, told="applying")


def test_why_a_file_was_refused_is_told_whenever_it_is_asked_for(api, monkeypatch):
    monkeypatch.setattr("scoring.cli.plane.list_files._AT_ONCE_S", 0.0)
    bad = "token\nc1\n4111111111111111\n"
    body = {"source": "a.csv", "content": bad}
    with pytest.raises(Refused, match="holds a card number"):
        followed(api, ("lists", "stolen", "imports"), body, told="reading")
    (told,) = api.items("lists", "stolen", "imports")
    assert told["state"] == "refused"
    assert tokens(api) == []


def test_the_entries_of_a_policy_move_to_managed_lists(api, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\nname: a\nthresholds: {default: {decline: 0.5}}\n"
        "lists:\n  blocked:\n    field: card\n    then: decline\n"
        "    reason_code: BLOCKED\n    entries:\n"
        "      - {token: c1}\n"
        "      - {token: c2, expires: 2026-03-01T12:00:00Z, reason: stolen}\n"
        "default: {outcome: review, reason_code: NO_SCORE}\n"
        "reasons:\n  BLOCKED: The card is blocked here.\n"
        "  NO_SCORE: The payment could not be scored.\n"
    )
    moved_from(ImportOf(api), file)
    assert tokens(api, "blocked") == ["c1", "c2"]
    with pytest.raises(BadArtifact, match="no list of it has entries"):
        moved_from(ImportOf(api), file, "other")


def test_an_export_that_is_read_slowly_keeps_nobody_from_the_database(
    plane, monkeypatch
):
    monkeypatch.setattr(plane.database._engine.pool, "_timeout", 0.01)
    monkeypatch.setattr(lists, "_EXPORTED_MAX", 2)
    plane.lists.create(By(FAY), "many", kind="plain", field="card")
    for token in "abcde":
        plane.lists.put(By(FAY), "many", EntryWish(token=token))
    begun = [lists._lines(Visitor(plane, FAY), "many") for _ in range(20)]
    assert len([next(each) for each in begun]) == 20
    assert [json.loads(line)["token"] for line in begun[0]] == list("bcde")
