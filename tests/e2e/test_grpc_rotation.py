"""Certificates change under load: every call is answered, without a single retry."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections import Counter
from pathlib import Path

import grpc
import pytest
from certificates import Authority, Leaf
from chart import CHART
from grpc_parts import SERVICE, payment, request
from served import serving

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]
CALLS = int(os.environ.get("SCORING_DRILL_ROTATION_CALLS", "1000"))
ROTATIONS = 5
CALLERS = 8
CALLS_PER_CHANNEL = 25  # each channel is a handshake of its own


class Mounted:
    """A directory of certificates that changes as Kubernetes changes a Secret's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.live = directory / "live"

    def show(self, leaf: Leaf) -> None:
        fresh = self.directory / leaf.cert.stem
        fresh.mkdir()
        (fresh / "tls.crt").write_bytes(leaf.cert.read_bytes())
        (fresh / "tls.key").write_bytes(leaf.key.read_bytes())
        link = self.directory / "next"
        link.symlink_to(fresh)
        link.replace(self.live)


class Load:
    """Callers that connect over and over again and never retry."""

    def __init__(self, port: str, authority: Authority, caller: Leaf) -> None:
        self.target = f"localhost:{port}"
        self.credentials = grpc.ssl_channel_credentials(
            authority.root.read_bytes(),
            caller.key.read_bytes(),
            caller.cert.read_bytes(),
        )
        self.seen: Counter[str] = Counter()

    async def caller(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        while self.seen.total() < CALLS:
            async with grpc.aio.secure_channel(
                self.target, self.credentials, options
            ) as channel:
                for _ in range(CALLS_PER_CHANNEL):
                    await self.call(channel)

    async def call(self, channel: grpc.aio.Channel) -> None:
        check = channel.unary_unary(SERVICE + "CheckTransaction")
        try:
            await check(request(payment()).SerializeToString(), timeout=30)
            self.seen["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.seen[f"{error.code().name}: {error.details()}"] += 1


def serial_shown(port: str, authority: Authority, caller: Leaf) -> str:
    """The serial number of the certificate that a fresh connection is shown."""
    context = ssl.create_default_context(cafile=str(authority.root))
    context.load_cert_chain(caller.cert, caller.key)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", int(port)), 30) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        shown = connection.getpeercert()
    assert shown
    return str(shown["serialNumber"])


def asked_by_the_chart(
    port: str, authority: Authority, caller: Leaf
) -> subprocess.CompletedProcess[str]:
    """What `helm test` runs where callers need a certificate."""
    script = CHART / "files" / "ask.py"
    files = (authority.root, caller.cert, caller.key)
    return subprocess.run(
        [sys.executable, script, f"localhost:{port}", *files],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def authority(tmp_path):
    (tmp_path / "ca").mkdir()
    return Authority.made(tmp_path / "ca")


async def test_five_rotations_fail_no_call(
    authority, model_dir, store_url, store_namespace, tmp_path
):
    caller = authority.leaf("gateway", san="URI:spiffe://bank/gateway")
    leaves = [
        authority.leaf(f"server-{i}", san="DNS:localhost") for i in range(ROTATIONS + 1)
    ]
    mounted = Mounted(tmp_path)
    mounted.show(leaves[0])
    with serving(
        model_dir=model_dir,
        redis_url=store_url,
        namespace=store_namespace,
        state_dir=tmp_path / "state",
        budget_ms=10_000,
        store_budget_ms=5_000,
        tls_cert_file=mounted.live / "tls.crt",
        tls_key_file=mounted.live / "tls.key",
        tls_client_ca_file=authority.root,
        grpc_connection_age_s=1,
    ) as served:
        port = served.address.rpartition(":")[2]
        load = Load(port, authority, caller)
        serials = [await asyncio.to_thread(serial_shown, port, authority, caller)]

        async def rotate() -> None:
            for i, leaf in enumerate(leaves[1:], 1):
                while load.seen.total() < CALLS * i / (ROTATIONS + 1):
                    await asyncio.sleep(0.02)
                mounted.show(leaf)
                shown = await asyncio.to_thread(serial_shown, port, authority, caller)
                serials.append(shown)

        await asyncio.gather(rotate(), *(load.caller() for _ in range(CALLERS)))
        asked = await asyncio.to_thread(asked_by_the_chart, port, authority, caller)
    assert asked.returncode == 0, asked.stderr
    assert set(load.seen) == {"OK"}
    assert load.seen["OK"] >= CALLS
    assert len(set(serials)) == ROTATIONS + 1, "each rotation was seen"
