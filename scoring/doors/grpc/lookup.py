"""Which method a call asks for: ours, or none, which is counted as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc

from scoring.doors.calls.call_watch import CallWatch
from scoring.doors.grpc.call import Context
from scoring.doors.grpc.health import SERVICE
from scoring.doors.grpc.status import GuardedCall, refuse
from scoring.errors import NotSupported
from scoring.ports.metrics.calls import OTHER

_PREFIX = f"/{SERVICE}/"

if TYPE_CHECKING:  # the class takes no parameters where it runs
    Found = grpc.RpcMethodHandler[Any, Any]


class Methods(grpc.GenericRpcHandler):
    """The methods of the service, by name. Each call is counted as it arrives:
    gRPC refuses a message that is too large by itself, and tells nobody.
    """

    def __init__(self, methods: Mapping[str, Found], watch: CallWatch) -> None:
        self._methods = {_PREFIX + name: (name, m) for name, m in methods.items()}
        self._watch = watch

    def service(self, details: grpc.HandlerCallDetails) -> Found | None:
        """The method that a call asks for; None for none of ours."""
        found = self._methods.get(details.method)
        if found is None:
            return None
        name, method = found
        self._watch.telemetry.arrived(name)
        return method


class Unknown(grpc.GenericRpcHandler):
    """Whatever nobody before it has: UNIMPLEMENTED, and counted."""

    def __init__(self, watch: CallWatch) -> None:
        self._watch = watch
        self._refused: Found = grpc.stream_stream_rpc_method_handler(self._refuse)

    def service(self, _details: grpc.HandlerCallDetails) -> Found:
        """What refuses a call of any kind."""
        self._watch.telemetry.arrived(OTHER)
        return self._refused

    async def _refuse(self, _requests: Any, context: Context) -> None:
        with GuardedCall(self._watch, OTHER, context) as guard:
            refusal = guard.refused(NotSupported("Method not found!"))
        await refuse(context, refusal)
