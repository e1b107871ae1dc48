"""TLS at the HTTP door: callers by certificate, and certificates that change."""

import asyncio
import json
import os
import socket
import ssl
from collections import Counter
from contextlib import suppress

import pytest
from certificates import Authority
from grpc_parts import payment
from http_parts import message, open_doors, read_reply, said
from prometheus_client import CollectorRegistry

from scoring.errors import BadArtifact
from scoring.ports.metrics.calls import TLS_REASONS
from scoring.telemetry.call_metrics import CallMetrics

CALLS = int(os.environ.get("SCORING_DRILL_ROTATION_CALLS", "100"))
ROTATIONS = 5
ACCESS = """
callers:
  - name: spiffe://bank/gateway
    methods: [CheckTransaction]
"""


@pytest.fixture
def authority(tmp_path):
    (tmp_path / "ca").mkdir()
    return Authority.made(tmp_path / "ca")


def shown_to(authority, leaf=None):
    """What a caller trusts, and what it shows."""
    context = ssl.create_default_context(cafile=str(authority.root))
    context.check_hostname = False
    if leaf is not None:
        context.load_cert_chain(leaf.cert, leaf.key)
    return context


def settings(authority, tmp_path, leaf, roots=None):
    live = tmp_path / "live"
    live.mkdir(exist_ok=True)
    write(live, leaf, roots or authority)
    return {
        "tls_cert_file": live / "tls.crt",
        "tls_key_file": live / "tls.key",
        "tls_client_ca_file": live / "ca.crt",
    }


def write(live, leaf, roots):
    (live / "tls.crt").write_bytes(leaf.cert.read_bytes())
    (live / "tls.key").write_bytes(leaf.key.read_bytes())
    (live / "ca.crt").write_bytes(roots.root.read_bytes())


async def health(door, context):
    """Status of a health look-up on a fresh connection, and the server's serial."""
    async with door.connected(context) as (reader, writer):
        shown = writer.get_extra_info("ssl_object").getpeercert()
        writer.write(message("GET", "/v1/health"))
        return (await read_reply(reader)).status, shown["serialNumber"]


async def test_a_caller_is_known_by_its_certificate(authority, model_dir, tmp_path):
    known = settings(authority, tmp_path, authority.leaf("server"))
    access = tmp_path / "access.yaml"
    access.write_text(ACCESS)
    gateway = authority.leaf("gateway", san="URI:spiffe://bank/gateway")
    other = authority.leaf("other", san="URI:spiffe://bank/other")
    async with open_doors(model_dir, **known, access_file=access) as door:
        for leaf, status in ((gateway, 200), (other, 403)):
            object.__setattr__(door, "context", shown_to(authority, leaf))
            assert (await door.check(payment())).status == status
        object.__setattr__(door, "context", shown_to(authority, gateway))
        labels = await door.post("/v1/labels", {"labels": []})
    assert labels.refusal == (403, "denied", "")


async def test_a_caller_without_a_certificate_does_not_get_in(
    authority, model_dir, tmp_path
):
    known = settings(authority, tmp_path, authority.leaf("server"))
    async with open_doors(model_dir, **known) as door:
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await health(door, shown_to(authority))


def greet(address, context):
    """Begin a connection, which fails; without a context in plain text."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as plain, suppress(OSError):
        if context is None:
            plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            plain.recv(1)
        else:
            context.wrap_socket(plain)


async def test_a_handshake_that_fails_is_counted_by_what_was_wrong(
    authority, model_dir, tmp_path
):
    registry = CollectorRegistry()
    stranger_home = tmp_path / "strangers"
    stranger_home.mkdir()
    stranger = Authority.made(stranger_home, "strangers")
    fine = authority.leaf("fine")
    wrong = {
        "no_certificate": shown_to(authority),
        "certificate_expired": shown_to(authority, authority.leaf("old", days=-1)),
        "certificate_untrusted": shown_to(authority, stranger.leaf("unknown")),
    }
    known = settings(authority, tmp_path, authority.leaf("server"))
    calls = CallMetrics(registry)

    def counted(name, **labels):
        return registry.get_sample_value(f"fraud_tls_{name}_total", labels)

    async with open_doors(model_dir, calls=calls, **known) as door:
        for context in wrong.values():
            with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
                await health(door, context)
        at = door.server.address
        await asyncio.to_thread(greet, at, shown_to(stranger, fine))
        await asyncio.to_thread(greet, at, None)
        assert (await health(door, shown_to(authority, fine)))[0] == 200
    assert {reason: counted("failures", reason=reason) for reason in TLS_REASONS} == {
        **dict.fromkeys(TLS_REASONS, 0),
        **dict.fromkeys((*wrong, "ours_refused", "plain_text"), 1),
    }
    assert counted("handshakes", door="http") == 6


async def test_a_rotation_is_seen_by_the_next_connection(
    authority, model_dir, tmp_path
):
    first, second = authority.leaf("first"), authority.leaf("second")
    caller = shown_to(authority, authority.leaf("caller"))
    known = settings(authority, tmp_path, first)
    async with open_doors(model_dir, **known) as door:
        async with door.connected(caller) as (reader, writer):
            _, before = await health(door, caller)
            write(tmp_path / "live", second, authority)
            _, after = await health(door, caller)
            writer.write(message("GET", "/v1/health"))
            assert (await read_reply(reader)).status == 200
        assert before != after


async def test_no_call_fails_while_certificates_change_under_load(
    authority, model_dir, tmp_path
):
    """Callers connect over and over; each change is half written for a moment."""
    leaves = [authority.leaf(f"server-{i}") for i in range(ROTATIONS)]
    context = shown_to(authority, authority.leaf("caller"))
    known = settings(authority, tmp_path, leaves[0])
    serials, statuses = set(), Counter()

    async def calls(door):
        while statuses.total() < CALLS:
            async with door.connected(context) as (reader, writer):
                shown = writer.get_extra_info("ssl_object").getpeercert()
                serials.add(shown["serialNumber"])
                raw = json.dumps(said(payment())).encode()
                writer.write(message("POST", "/v1/checks", raw))
                statuses[(await read_reply(reader)).status] += 1

    async with open_doors(model_dir, **known, budget_ms=5_000) as door:
        calling = [asyncio.create_task(calls(door)) for _ in range(4)]
        for i, leaf in enumerate(leaves):
            while statuses.total() < i * CALLS // ROTATIONS:
                await asyncio.sleep(0.005)
            (tmp_path / "live" / "tls.crt").write_bytes(leaf.cert.read_bytes())
            await asyncio.sleep(0.02)
            (tmp_path / "live" / "tls.key").write_bytes(leaf.key.read_bytes())
        await asyncio.gather(*calling)
    assert set(statuses) == {200}
    assert len(serials) == ROTATIONS


async def test_roots_that_are_replaced_are_trusted_no_more(
    authority, model_dir, tmp_path
):
    (tmp_path / "other").mkdir()
    other = Authority.made(tmp_path / "other", "other")
    server = authority.leaf("server")
    ours = shown_to(authority, authority.leaf("ours"))
    theirs = shown_to(authority, other.leaf("theirs"))
    known = settings(authority, tmp_path, server)
    async with open_doors(model_dir, **known) as door:
        assert (await health(door, ours))[0] == 200
        write(tmp_path / "live", server, other)
        assert (await health(door, theirs))[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            await health(door, ours)


async def test_half_written_files_leave_the_ones_in_use(authority, model_dir, tmp_path):
    caller = shown_to(authority, authority.leaf("caller"))
    known = settings(authority, tmp_path, authority.leaf("first"))
    async with open_doors(model_dir, **known) as door:
        _, before = await health(door, caller)
        second = authority.leaf("second")
        (tmp_path / "live" / "tls.crt").write_bytes(second.cert.read_bytes())
        assert (await health(door, caller))[1] == before
        (tmp_path / "live" / "tls.key").write_bytes(second.key.read_bytes())
        assert (await health(door, caller))[1] != before


async def test_a_certificate_without_its_key_is_refused(authority, model_dir):
    leaf = authority.leaf("server")
    with pytest.raises(BadArtifact, match="or neither"):
        async with open_doors(model_dir, tls_cert_file=leaf.cert):
            pass
