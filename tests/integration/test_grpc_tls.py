"""Only the right callers: certificates, who may do what, rotation without a restart."""

import shutil
import time

import grpc
import pytest
from certificates import Authority
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_parts import SERVICE, label, open_door, payment, request

from scoring.doors.auth.access import load_access
from scoring.errors import BadArtifact
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

GATEWAY = "spiffe://bank/gateway"
SHOP = "spiffe://bank/shop"
ACCESS = f"""
callers:
  - name: {GATEWAY}
    methods: ["*"]
    tenants: ["default", "north"]
  - name: {SHOP}
    methods: [CheckTransaction, GetDecision, ExplainDecision]
    merchants: [merchant-shop]
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.made(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server_leaf(authority):
    return authority.leaf("localhost", san="DNS:localhost,IP:127.0.0.1")


@pytest.fixture
async def door(model_dir, authority, server_leaf, tmp_path):
    access = tmp_path / "access.yaml"
    access.write_text(ACCESS)
    async with open_door(
        model_dir,
        tls_cert_file=server_leaf.cert,
        tls_key_file=server_leaf.key,
        tls_client_ca_file=authority.root,
        access_file=access,
    ) as door:
        yield door


def channel_to(door, root, leaf=None):
    credentials = grpc.ssl_channel_credentials(
        root.read_bytes(),
        leaf.key.read_bytes() if leaf else None,
        leaf.cert.read_bytes() if leaf else None,
    )
    port = door.server.address.rpartition(":")[2]
    return grpc.aio.secure_channel(
        f"localhost:{port}", credentials, [("grpc.use_local_subchannel_pool", 1)]
    )


async def status(door, root, leaf, transaction=None, method="CheckTransaction"):
    """The status of one call over a connection of its own."""
    message = {
        "CheckTransaction": request(transaction or payment()),
        "BatchCheckTransactions": calls.BatchCheckTransactionsRequest(
            transactions=[transaction or payment()]
        ),
        "GetDecision": calls.GetDecisionRequest(transaction_id="t-none"),
        "ExplainDecision": calls.ExplainDecisionRequest(transaction_id="t-none"),
        "ReportLabels": calls.ReportLabelsRequest(labels=[label("t-none")]),
    }[method]
    async with channel_to(door, root, leaf) as channel:
        try:
            call = channel.unary_unary(SERVICE + method)
            await call(message.SerializeToString(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def test_a_known_caller_is_answered(door, authority):
    leaf = authority.leaf("gateway", san=f"URI:{GATEWAY}")
    assert await status(door, authority.root, leaf) is grpc.StatusCode.OK


async def test_without_a_certificate_there_is_no_connection(door, authority):
    assert await status(door, authority.root, None) is grpc.StatusCode.UNAVAILABLE


async def test_a_certificate_of_another_authority_is_refused(door, authority, tmp_path):
    stranger = Authority.made(tmp_path, "other")
    leaf = stranger.leaf("gateway", san=f"URI:{GATEWAY}")
    assert await status(door, authority.root, leaf) is grpc.StatusCode.UNAVAILABLE


async def test_an_expired_certificate_is_refused(door, authority):
    leaf = authority.leaf("late", san=f"URI:{GATEWAY}", days=-1)
    assert await status(door, authority.root, leaf) is grpc.StatusCode.UNAVAILABLE


async def test_a_caller_refuses_a_server_of_another_name(model_dir, authority):
    wrong = authority.leaf("elsewhere", san="DNS:elsewhere")
    async with open_door(
        model_dir, tls_cert_file=wrong.cert, tls_key_file=wrong.key
    ) as door:
        assert await status(door, authority.root, None) is grpc.StatusCode.UNAVAILABLE


async def test_a_valid_caller_that_nobody_listed_is_denied(door, authority):
    leaf = authority.leaf("unlisted", san="URI:spiffe://bank/unlisted")
    found = await status(door, authority.root, leaf)
    assert found is grpc.StatusCode.PERMISSION_DENIED


async def test_probes_need_no_certificate_on_their_own_port(
    model_dir, authority, server_leaf
):
    async with open_door(
        model_dir,
        tls_cert_file=server_leaf.cert,
        tls_key_file=server_leaf.key,
        tls_client_ca_file=authority.root,
        grpc_health_address="127.0.0.1:0",
    ) as door:
        assert await status(door, authority.root, None) is grpc.StatusCode.UNAVAILABLE
        async with grpc.aio.insecure_channel(door.server.health_address) as channel:
            probe = health_pb2_grpc.HealthStub(channel)
            asked = health_pb2.HealthCheckRequest(service="scoring.v1.FraudScoring")
            assert (await probe.Check(asked, timeout=5)).status == 1


LIMITS = {
    "its own merchant": ({"merchant": "merchant-shop"}, "CheckTransaction", "OK"),
    "another merchant": ({"merchant": "m-9"}, "CheckTransaction", "PERMISSION_DENIED"),
    "no merchant": ({"merchant": ""}, "CheckTransaction", "PERMISSION_DENIED"),
    "another tenant": (
        {"merchant": "merchant-shop", "tenant": "north"},
        "CheckTransaction",
        "PERMISSION_DENIED",
    ),
    "a method not listed": ({}, "BatchCheckTransactions", "PERMISSION_DENIED"),
    "a look-up": ({}, "GetDecision", "PERMISSION_DENIED"),
    "an explanation": ({}, "ExplainDecision", "PERMISSION_DENIED"),
    "a label": ({}, "ReportLabels", "PERMISSION_DENIED"),
}


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_caller_is_held_to_its_limits(door, authority, limit):
    fields, method, expected = LIMITS[limit]
    leaf = authority.leaf("shop", san=f"URI:{SHOP}")
    found = await status(door, authority.root, leaf, payment(**fields), method)
    assert found.name == expected


async def test_nothing_of_a_denied_caller_is_scored(door, authority):
    one = payment(merchant="m-9")
    leaf = authority.leaf("shop", san=f"URI:{SHOP}")
    await status(door, authority.root, leaf, one)
    assert await door.service.store.decisions([("default", one.id)]) == [None]


async def test_a_denied_item_of_a_batch_spoils_no_other(door, authority):
    leaf = authority.leaf("gateway", san=f"URI:{GATEWAY}")
    good, foreign = payment(), payment(tenant="south")
    async with channel_to(door, authority.root, leaf) as channel:
        reply = await stubs.FraudScoringStub(channel).BatchCheckTransactions(
            calls.BatchCheckTransactionsRequest(transactions=[good, foreign]), timeout=5
        )
    assert reply.results[0].HasField("decision")
    denied = grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert reply.results[1].error.code == denied


async def answered(door, root):
    """Whether a fresh connection that trusts `root` alone is answered."""
    return await status(door, root, None) is grpc.StatusCode.OK


async def test_a_rotation_takes_effect_on_the_next_connection(model_dir, tmp_path):
    old = Authority.made(tmp_path, "old")
    new = Authority.made(tmp_path, "new")
    first = old.leaf("first", san="DNS:localhost")
    second = new.leaf("second", san="DNS:localhost")
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(first.cert, cert)
    shutil.copy(first.key, key)
    async with (
        open_door(model_dir, tls_cert_file=cert, tls_key_file=key) as door,
        channel_to(door, old.root) as kept,
    ):
        check = stubs.FraudScoringStub(kept).CheckTransaction
        await check(request(payment()), timeout=5)
        # Half of a rotation: the files do not belong together.
        shutil.copy(second.cert, cert)
        assert await answered(door, old.root)
        shutil.copy(second.key, key)
        assert await answered(door, new.root)
        assert not await answered(door, old.root)
        # Who was connected stays connected.
        await check(request(payment()), timeout=5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("callers: []\n", "callers"),
        ("callers:\n  - name: x\n    methods: [Check]\n    merchant: y\n", "merchant"),
        ("[]", "mapping"),
    ],
)
def test_an_access_file_with_a_mistake_is_refused_with_its_line(
    tmp_path, text, problem
):
    path = tmp_path / "access.yaml"
    path.write_text(text)
    with pytest.raises(BadArtifact, match=problem) as refused:
        load_access(path, monotonic=time.monotonic)
    assert "access.yaml:" in str(refused.value)


@pytest.mark.parametrize(
    "settings", [{"tls_cert_file": "a.crt"}, {"access_file": "access.yaml"}]
)
async def test_half_a_security_setting_is_refused(model_dir, settings):
    with pytest.raises(BadArtifact, match="SCORING_TLS"):
        async with open_door(model_dir, **settings):
            pass
