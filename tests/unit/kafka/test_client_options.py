"""TLS to a broker that never answers a goodbye, as Kafka does not."""

import asyncio
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
import uvloop
from certificates import Authority

from scoring.errors import BadArtifact
from scoring.kafka.client_options import client_options, tls_context

PATIENCE_S = 15.0  # an event loop's own patience with the peer is 30


@contextmanager
def silent_server(authority):
    """A TLS server that reads nothing after the handshake, and never closes."""
    leaf = authority.leaf("broker", san="IP:127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(leaf.cert, leaf.key)
    listening = socket.create_server(("127.0.0.1", 0))
    held = []

    def hold():
        accepted, _ = listening.accept()
        held.append(context.wrap_socket(accepted, server_side=True))

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    thread.join()
    for one in (*held, listening):
        one.close()


async def closed(port: int, options: dict[str, str]) -> bool:
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls_context(options)
    )
    writer.close()
    async with asyncio.timeout(PATIENCE_S):
        await writer.wait_closed()
    return True


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_closes_though_the_broker_never_answers(tmp_path, loop):
    authority = Authority.made(tmp_path)
    options = {"ssl_cafile": str(authority.root)}
    with (
        silent_server(authority) as port,
        asyncio.Runner(loop_factory=loop) as runner,
    ):
        assert runner.run(closed(port, options))


def test_an_unknown_option_is_named_with_those_that_are_known():
    with pytest.raises(BadArtifact, match=r"sasl_password is not an option.*sasl_pl"):
        client_options({"sasl_password": "x"})
