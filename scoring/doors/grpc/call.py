"""What gRPC says of a call: its time, its trace, and who calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import grpc

from scoring.core.decision.decision import Door

Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True, slots=True)
class GrpcCall:
    """A call through gRPC: `calls.requests.Call`."""

    context: Context

    @property
    def door(self) -> Door:
        """This one."""
        return Door.GRPC

    @property
    def names(self) -> list[str]:
        """Those of its verified certificate."""
        return names_of(self.context.auth_context())

    @property
    def authorization(self) -> str:
        """Its token, as sent."""
        return self._header("authorization")

    @property
    def traceparent(self) -> str:
        """Its W3C trace context."""
        return self._header("traceparent")

    def peer(self) -> str:
        """Its host without the port, which says nothing, and who it says it is."""
        where = self.context.peer().rpartition(":")[0]
        return " ".join([where, *self.names])

    def remaining_s(self) -> float | None:
        """What is left of its deadline."""
        return self.context.time_remaining()

    def _header(self, name: str) -> str:
        for key, value in self.context.invocation_metadata() or ():
            if key == name and isinstance(value, str):
                return value
        return ""


def names_of(auth_context: Mapping[str, Iterable[bytes]]) -> list[str]:
    """The names a verified certificate gives: its SANs, else its common name.

    >>> names_of({"x509_common_name": [b"shop"]})
    ['shop']
    >>> names_of({"x509_common_name": [b"x"], "x509_subject_alternative_name": [b"a"]})
    ['a']
    """
    names = auth_context.get("x509_subject_alternative_name") or auth_context.get(
        "x509_common_name", []
    )
    return [name.decode("utf-8", "replace") for name in names]
