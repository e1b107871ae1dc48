"""HTTP's names for the calls are whole, and a proxy's descriptor knows them."""

import runpy

import toolbox
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from scoring.wire.routes import ROUTES, SERVICE

ENVOY = toolbox.ROOT / "helm" / "envoy"


def test_every_call_that_is_no_stream_has_a_route_of_its_own():
    unary = [m.name for m in SERVICE.methods if not m.client_streaming]
    assert sorted(route.rpc for route in ROUTES) == sorted(unary)
    assert len({(route.verb, route.path) for route in ROUTES}) == len(ROUTES)


def test_a_proxy_s_descriptor_is_what_the_routes_say_today():
    """When this fails: `make docs`."""
    script = runpy.run_path(str(ENVOY / "descriptor.py"))
    assert script["WRITTEN"].read_bytes() == script["annotated"]()


def test_a_proxy_s_descriptor_has_a_rule_for_each_route():
    files = descriptor_pb2.FileDescriptorSet.FromString(
        (ENVOY / "scoring-v1-http.binpb").read_bytes()
    )
    rules = {
        rpc.name: rpc.options.Extensions[annotations_pb2.http]
        for file in files.file
        for service in file.service
        for rpc in service.method
    }
    for route in ROUTES:
        assert getattr(rules[route.rpc], route.verb) == route.path
        assert rules[route.rpc].body == route.body
