"""Callers known by a signed token: who may call, until when, and how fast."""

import asyncio
import base64
import json
import re
import time

import grpc
import jwt
import pytest
from certificates import Authority
from grpc_parts import label, open_door, payment, request
from tokens import (
    AUDIENCE,
    ISSUER,
    KEYS,
    MAIN,
    MAKE,
    SigningKey,
    token_settings,
    write_jwks,
)
from toolbox import ROOT

from scoring.client import AsyncClient, Security, Transaction
from scoring.doors.auth.access import load_access
from scoring.errors import BadArtifact, ScoringError
from scoring.telemetry.prometheus import SilentTelemetry
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.wiring.services import now_ms


@pytest.fixture
async def door(model_dir, tmp_path):
    settings = token_settings(tmp_path, *KEYS.values())
    async with open_door(model_dir, **settings) as door:
        yield door


async def refusal(door, token, transaction=None, method="CheckTransaction"):
    """The status and the words that a call with this token gets."""
    message = {
        "CheckTransaction": request(transaction or payment()),
        "BatchCheckTransactions": calls.BatchCheckTransactionsRequest(
            transactions=[transaction or payment()]
        ),
        "GetDecision": calls.GetDecisionRequest(transaction_id="t-none"),
        "ExplainDecision": calls.ExplainDecisionRequest(transaction_id="t-none"),
        "ReportLabels": calls.ReportLabelsRequest(labels=[label("t-none")]),
    }[method]
    metadata = [] if token is None else [("authorization", f"Bearer {token}")]
    call = door.raw(method)(message.SerializeToString(), timeout=5, metadata=metadata)
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", ""


@pytest.mark.parametrize("algorithm", MAKE)
async def test_a_token_of_a_listed_caller_is_answered(door, algorithm):
    assert await refusal(door, KEYS[algorithm].token()) == ("OK", "")


def signed_by_nobody():
    return jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": "gateway", "exp": 9e9}, "", "none"
    )


def signed_with_a_public_key_as_a_shared_secret():
    secret = MAIN.public["x"]
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "gateway", "exp": 9e9}
    return jwt.encode(claims, secret, "HS256", {"kid": MAIN.kid})


def tampered():
    head, _, signature = MAIN.token(sub="shop").split(".")
    return ".".join((head, MAIN.token().split(".")[1], signature))


def nested():
    """A header that a parser recurses into."""
    deep = base64.urlsafe_b64encode(b'{"kid":' + b"[" * 3_000).decode().rstrip("=")
    return f"{deep}.e30.e30"


REFUSED = {
    "nests brackets in brackets": (nested, "it is no token"),
    "is missing": (lambda: None, "send a token"),
    "is empty": (lambda: "", "it is no token"),
    "is no token": (lambda: "a.b.c", "it is no token"),
    "has expired": (lambda: MAIN.token(exp=int(time.time()) - 60), "it has expired"),
    "never expires": (lambda: MAIN.token(exp=None), "it lacks one of"),
    "expires at no time": (lambda: MAIN.token(exp="soon"), "'exp' is no time"),
    "is not valid yet": (
        lambda: MAIN.token(nbf=int(time.time()) + 90),
        "not valid yet",
    ),
    "is for another audience": (lambda: MAIN.token(aud="payroll"), "another audience"),
    "has no audience": (lambda: MAIN.token(aud=None), "it lacks one of"),
    "is another issuer's": (lambda: MAIN.token(iss="https://x"), "another issuer"),
    "names nobody": (lambda: MAIN.token(sub=None), "'sub' names nobody"),
    "is signed by another key of the same kid": (
        lambda: SigningKey.made(MAIN.kid).token(),
        "signature does not verify",
    ),
    "is signed by an unknown key": (
        lambda: SigningKey.made("k-unknown").token(),
        "no key of ours",
    ),
    "names a key of another algorithm": (
        lambda: MAIN.token(headers={"kid": "k-RS256"}),
        "algorithm is not the key's",
    ),
    "is not signed": (signed_by_nobody, "no key of ours"),
    "takes our public key for a secret": (
        signed_with_a_public_key_as_a_shared_secret,
        "algorithm is not the key's",
    ),
    "was changed after signing": (tampered, "signature does not verify"),
    "is too long": (lambda: MAIN.token(more="x" * 20_000), ""),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_token_is_refused_when_it(door, why):
    make, words = REFUSED[why]
    token, one = make(), payment()
    code, said = await refusal(door, token, one)
    # gRPC itself turns away what exceeds the limit of all metadata.
    expected = "RESOURCE_EXHAUSTED" if why == "is too long" else "UNAUTHENTICATED"
    assert code == expected
    assert words in said
    assert not token or token not in said
    assert await door.service.store.decisions([("default", one.id)]) == [None]


LIMITS = {
    "a caller that nobody listed": ({"sub": "stranger"}, "CheckTransaction"),
    "the name of a certificate": ({"sub": "by-certificate-only"}, "CheckTransaction"),
    "a method not listed": ({"sub": "shop"}, "BatchCheckTransactions"),
    "a look-up not listed": ({"sub": "shop"}, "GetDecision"),
    "an explanation not listed": ({"sub": "shop"}, "ExplainDecision"),
    "a label not listed": ({"sub": "shop"}, "ReportLabels"),
    "another merchant": ({"sub": "shop"}, "CheckTransaction"),
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_valid_token_is_denied_for(door, limit):
    claims, method = LIMITS[limit]
    one = payment(merchant="m-9")
    code, _ = await refusal(door, MAIN.token(**claims), one, method)
    assert code == "PERMISSION_DENIED"
    assert await door.service.store.decisions([("default", one.id)]) == [None]


async def test_what_is_refused_is_not_logged_with_its_token(door, caplog):
    token = tampered()
    await refusal(door, token)
    assert token not in caplog.text
    assert token.split(".")[2] not in caplog.text


async def test_a_key_that_is_withdrawn_is_refused_and_a_new_one_taken(
    model_dir, tmp_path
):
    old, new = SigningKey.made("old"), SigningKey.made("new")
    settings = token_settings(tmp_path, old)
    token = old.token()
    async with open_door(model_dir, **settings) as door:
        assert await refusal(door, token) == ("OK", "")
        settings["jwt_jwks_file"].write_text("{")  # half of a write: kept as it was
        assert await refusal(door, token) == ("OK", "")
        write_jwks(settings["jwt_jwks_file"], new)
        assert await refusal(door, new.token()) == ("OK", "")
        assert (await refusal(door, token))[0] == "UNAUTHENTICATED"


async def test_a_stream_outlives_its_token_but_is_no_longer_served(model_dir, tmp_path):
    settings = token_settings(tmp_path, MAIN)
    async with open_door(model_dir, **settings, jwt_leeway_s=0) as door:
        stub = stubs.FraudScoringStub(door.channel)
        ends_at = time.time() + 5  # the first message comes before, however slowly
        token = MAIN.token(exp=ends_at)
        stream = stub.StreamCheckTransactions(
            metadata=[("authorization", f"Bearer {token}")]
        )
        await stream.write(calls.StreamCheckTransactionsRequest(transaction=payment()))
        first = await stream.read()
        while time.time() < ends_at:
            await asyncio.sleep(0.05)
        await stream.write(calls.StreamCheckTransactionsRequest(transaction=payment()))
        second = await stream.read()
        await stream.done_writing()
    assert first.result.HasField("decision")
    assert second.result.error.code == grpc.StatusCode.UNAUTHENTICATED.value[0]


async def test_our_client_sends_the_token_that_stands_in_its_file(model_dir, tmp_path):
    authority = Authority.made(tmp_path)
    leaf = authority.leaf("localhost", san="DNS:localhost")
    token_file = tmp_path / "token"
    security = Security(authority.root, token_file=token_file)
    settings = token_settings(tmp_path, MAIN)
    settings |= {"tls_cert_file": leaf.cert, "tls_key_file": leaf.key}
    one = Transaction("default", "t-client", occurred_at_ms=now_ms(), currency="EUR")
    async with open_door(model_dir, **settings) as door:
        address = f"localhost:{door.server.address.rpartition(':')[2]}"
        async with AsyncClient(address, timeout_s=5, security=security) as client:
            token_file.write_text(MAIN.token(exp=1))
            with pytest.raises(ScoringError, match="it has expired"):
                await client.check(one)
            token_file.write_text(MAIN.token())
            assert (await client.check(one)).core.transaction_id == "t-client"


async def test_who_is_turned_away_is_counted_by_status(
    model_dir, tmp_path, monkeypatch
):
    counted = []
    monkeypatch.setattr(
        SilentTelemetry, "count", lambda _self, event: counted.append(event)
    )
    async with open_door(model_dir, **token_settings(tmp_path, MAIN)) as door:
        await refusal(door, tampered())
        await refusal(door, MAIN.token(sub="stranger"))
    assert counted == ["caller_unauthenticated", "caller_permission_denied"]


async def test_who_goes_too_fast_is_pushed_back_and_others_are_not(door):
    token = MAIN.token(sub="slow")
    for _ in range(3):
        assert (await refusal(door, token))[0] == "OK"
    metadata = [("authorization", f"Bearer {token}")]
    one = payment()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.raw("CheckTransaction")(
            request(one).SerializeToString(), timeout=5, metadata=metadata
        )
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailing = dict(caught.value.trailing_metadata())
    assert 990_000 < int(trailing["grpc-retry-pushback-ms"]) <= 1_000_000
    assert await door.service.store.decisions([("default", one.id)]) == [None]
    assert (await refusal(door, MAIN.token()))[0] == "OK"


async def test_every_item_of_a_batch_counts_towards_the_rate(door):
    metadata = [("authorization", f"Bearer {MAIN.token(sub='slow')}")]
    reply = await door.stub.BatchCheckTransactions(
        calls.BatchCheckTransactionsRequest(transactions=[payment() for _ in range(4)]),
        timeout=5,
        metadata=metadata,
    )
    # The call itself took one of three.
    decided = [result.HasField("decision") for result in reply.results]
    assert decided == [True, True, False, False]
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert reply.results[3].error.code == exhausted


def test_the_access_file_of_the_guide_is_one(tmp_path):
    guide = (ROOT / "docs" / "guide-sre.md").read_text()
    shown = re.search(
        r"<!-- file: access.yaml -->\n```yaml\n(.*?)```", guide, re.DOTALL
    )
    path = tmp_path / "access.yaml"
    path.write_text(shown[1])
    access = load_access(path, monotonic=time.monotonic)
    assert access.by_name.keys() == {"spiffe://bank/gateway"}
    assert access.by_subject["shop-17"].quota.burst_count == 400


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{methods: [x]}", "needs a name"),
        ("{subject: a, methods: [x], burst_count: 2}", "rate_per_s"),
        ("{subject: a, methods: [x], rate_per_s: 0}", "greater than 0"),
        ("{subject: a, methods: [x]}\n  - {subject: a, methods: [y]}", "given twice"),
    ],
)
def test_a_rule_with_a_mistake_is_refused(tmp_path, rule, problem):
    path = tmp_path / "access.yaml"
    path.write_text(f"callers:\n  - {rule}\n")
    with pytest.raises(BadArtifact, match=problem):
        load_access(path, monotonic=time.monotonic)


WRONG_JWKS = {
    "is not there": (None, "cannot be read"),
    "is no JSON": ("{", "is no JWKS"),
    "is a list": ("[1]", "is no JWKS"),
    "is empty": ('{"keys": []}', "at least one"),
    "holds a shared secret": (
        '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}',
        "RS256, ES256, EdDSA",
    ),
    "holds a private key": (
        json.dumps({"keys": [{**MAIN.public, "d": "c2VjcmV0"}]}),
        "private key",
    ),
    "holds one kid twice": (
        json.dumps({"keys": [MAIN.public, MAIN.public]}),
        "each with its own kid",
    ),
    "names another algorithm": (
        json.dumps({"keys": [{**MAIN.public, "alg": "none"}]}),
        "RS256, ES256, EdDSA",
    ),
}


@pytest.mark.parametrize("why", WRONG_JWKS)
async def test_the_service_does_not_start_on_a_key_file_that(model_dir, tmp_path, why):
    text, problem = WRONG_JWKS[why]
    settings = token_settings(tmp_path, MAIN)
    settings["jwt_jwks_file"].unlink()
    if text is not None:
        settings["jwt_jwks_file"].write_text(text)
    with pytest.raises(BadArtifact, match=problem):
        async with open_door(model_dir, **settings):
            pass


@pytest.mark.parametrize("missing", ["jwt_issuer", "jwt_audience", "access_file"])
async def test_half_a_setting_of_tokens_is_refused(model_dir, tmp_path, missing):
    settings = token_settings(tmp_path, MAIN)
    del settings[missing]
    with pytest.raises(BadArtifact, match="SCORING_"):
        async with open_door(model_dir, **settings):
            pass
