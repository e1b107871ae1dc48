"""Writes the descriptor that a transcoding proxy reads: our protos with HTTP rules.

The rules are the options `google.api.http` of the RPCs, made from the routes of the
HTTP door. They are in this descriptor alone: the contract does not need them.
"""

import sys
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from scoring.v1 import fraud_scoring_pb2
from scoring.wire import schemas
from scoring.wire.routes import ROUTES

WRITTEN = Path(__file__).resolve().parent / "scoring-v1-http.binpb"


def annotated() -> bytes:
    """Every message and RPC of the contract as a FileDescriptorSet, with HTTP rules."""
    found = descriptor_pb2.FileDescriptorSet.FromString(schemas.descriptor_set())
    file = found.file.add()
    fraud_scoring_pb2.DESCRIPTOR.CopyToProto(file)
    rpcs = {rpc.name: rpc for service in file.service for rpc in service.method}
    for route in ROUTES:
        rule = rpcs[route.rpc].options.Extensions[annotations_pb2.http]
        setattr(rule, route.verb, route.path)
        rule.body = route.body
    return found.SerializeToString(deterministic=True)


if __name__ == "__main__":
    sys.stdout.write(f"{WRITTEN.write_bytes(annotated())} bytes\n")
