"""The null server: the same messages, options and loop, and no work at all.

What it costs is gRPC itself. Answers are canned bytes of a real decision's size.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import uvloop

from scoring import wire
from scoring.doors.grpc.server import SERVICE, ServerOptions
from scoring.v1 import fraud_scoring_pb2 as calls


async def serve(canned: bytes) -> None:
    """Serve until SIGTERM; prints its address like the real server."""
    options = ServerOptions(address="127.0.0.1:0", message_bytes_max=262_144)
    server = grpc.aio.server(options=options.channel_arguments())
    one = wire.field_to_bytes(1, canned)
    result = wire.field_to_bytes(1, b"x" * 24) + wire.field_to_bytes(2, canned)
    item = wire.field_to_bytes(1, result)

    async def check(raw: bytes, _context: object) -> bytes:
        calls.CheckTransactionRequest.FromString(raw)
        return one

    async def batch(raw: bytes, _context: object) -> bytes:
        request = calls.BatchCheckTransactionsRequest.FromString(raw)
        return item * len(request.transactions)

    async def stream(requests: AsyncIterator[bytes], _context: object) -> object:
        async for raw in requests:
            calls.StreamCheckTransactionsRequest.FromString(raw)
            yield item

    methods = {
        "CheckTransaction": grpc.unary_unary_rpc_method_handler(check),
        "BatchCheckTransactions": grpc.unary_unary_rpc_method_handler(batch),
        "StreamCheckTransactions": grpc.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, methods),)
    )
    port = server.add_insecure_port(options.address)
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await server.start()
    print(f"serving grpc on 127.0.0.1:{port}", flush=True)
    await told.wait()
    await server.stop(1)


if __name__ == "__main__":
    # The canned decision stands in a file named on the command line.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1]).read_bytes()))
