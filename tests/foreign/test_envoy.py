"""A real Envoy that speaks HTTP/JSON in front of the gRPC door, as helm/envoy shows."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
import toolbox
import yaml
from google.protobuf import json_format
from grpc_parts import event, fresh_id, label, open_door, payment

from scoring.embedded.child import LOOPBACK, free_port
from scoring.v1 import fraud_scoring_pb2 as calls

pytestmark = pytest.mark.foreign
HOME = toolbox.ROOT / "helm" / "envoy"


def configuration(listen, upstream):
    """The shipped file, on addresses of this machine."""
    found = yaml.safe_load((HOME / "envoy.yaml").read_text())["static_resources"]
    listener, cluster = found["listeners"][0], found["clusters"][0]
    listener["address"]["socket_address"] = listen
    within = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
    within["endpoint"]["address"]["socket_address"] = upstream
    connection = listener["filter_chains"][0]["filters"][0]["typed_config"]
    transcoder = connection["http_filters"][0]["typed_config"]
    assert transcoder["proto_descriptor"].startswith("/etc/envoy/")
    name = transcoder["proto_descriptor"].removeprefix("/etc/envoy/")
    transcoder["proto_descriptor"] = str(HOME / name)
    return {"static_resources": found}


def address(text):
    host, _, port = text.rpartition(":")
    return {"address": host, "port_value": int(port)}


@asynccontextmanager
async def envoy(tmp_path, upstream):
    """An HTTP client of an Envoy in front of `upstream`."""
    binary = toolbox.required(toolbox.envoy)
    listen = f"{LOOPBACK}:{free_port()}"
    config = tmp_path / "envoy.yaml"
    config.write_text(yaml.safe_dump(configuration(address(listen), address(upstream))))
    options = ("--concurrency", "1", "--disable-hot-restart", "-l", "error")
    process = await asyncio.create_subprocess_exec(binary, "-c", config, *options)
    try:
        async with httpx.AsyncClient(base_url=f"http://{listen}", timeout=30) as http:
            await until_healthy(http)
            yield http
    finally:
        process.terminate()
        await process.wait()


async def until_healthy(http):
    async with asyncio.timeout(60):
        while True:
            try:
                if (await http.get("/v1/decisions/none")).status_code == 404:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


def as_json(message):
    return json_format.MessageToDict(message)


async def test_envoy_makes_http_json_of_the_grpc_door(model_dir, tmp_path):
    async with (
        open_door(model_dir) as door,
        envoy(tmp_path, door.server.address) as http,
    ):
        one = payment(f"{fresh_id()}/1 of 2")
        path = f"/v1/decisions/{one.id.replace('/', '%2F')}"
        dry = await http.post("/v1/checks?dry_run=true", json=as_json(one))
        assert dry.status_code == 200
        assert (await http.get(path)).status_code == 404  # a dry run records nothing

        checked = await http.post("/v1/checks", json=as_json(one))
        assert checked.status_code == 200
        stored = calls.CheckTransactionResponse(decision=await door.check(one))
        assert json_format.ParseDict(checked.json(), type(stored)()) == stored
        assert (await http.get(path + "?tenant=default")).json() == checked.json()
        explained = (await http.get(path + "/explanation")).json()
        assert explained["core"] == checked.json()["decision"]["core"]
        assert explained["contributions"]

        many = {"transactions": [as_json(one), as_json(payment(currency="euro"))]}
        batch = (await http.post("/v1/checks:batch", json=many)).json()["results"]
        assert batch[0]["decision"] == checked.json()["decision"]
        assert batch[1]["error"]["field"] == "currency"
        labels = {"labels": [as_json(label(one.id))]}
        reported = await http.post("/v1/labels", json=labels)
        assert reported.json() == {"results": [{"transactionId": one.id}]}
        events = {"events": [as_json(event(one.id))]}
        happened = (await http.post("/v1/events", json=events)).json()["results"]
        assert happened == [{"transactionId": one.id, "eventId": "e1"}]
        life = (await http.get(path)).json()
        assert (len(life["labels"]), len(life["events"])) == (1, 1)


async def test_envoy_passes_on_what_is_wrong_and_where(model_dir, tmp_path):
    async with (
        open_door(model_dir) as door,
        envoy(tmp_path, door.server.address) as http,
    ):
        one = as_json(payment())
        assert (await http.post("/v1/checks", json=one)).status_code == 200
        wrong = await http.post("/v1/checks", json=one | {"currency": "euro"})
        assert (wrong.status_code, wrong.headers["scoring-field"]) == (400, "currency")
        assert wrong.json()["code"] == 3
        assert wrong.headers["scoring-problem"] == "invalid"
        conflict = await http.post("/v1/checks", json=one | {"amountMinor": 7})
        assert (conflict.status_code, conflict.headers["scoring-field"]) == (409, "id")
        for refused in (
            await http.post("/v1/checks", json=one | {"amountMinor": "much"}),
            await http.post("/v1/checks", content=b"{"),
            await http.post("/v1/checks?dryrun=true", json=one),
        ):
            assert refused.status_code == 400
            assert refused.json()["message"]
        assert (await http.get("/v1/check")).status_code == 404
        in_no_time = {"x-timeout-ms": "0"}
        late = await http.post("/v1/checks", json=one, headers=in_no_time)
        assert late.status_code == 504


async def test_envoy_drops_a_name_that_the_contract_does_not_know(model_dir, tmp_path):
    """What the file says of it: the service's own door refuses such a body."""
    async with (
        open_door(model_dir) as door,
        envoy(tmp_path, door.server.address) as http,
    ):
        one = as_json(payment())
        answer = await http.post("/v1/checks", json=one | {"amuontMinor": 7})
        assert answer.status_code == 200
