"""The calls of the service as HTTP says them: one list for door, schema and proxy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from google.protobuf.descriptor import (
    Descriptor,
    FieldDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

from scoring.v1 import fraud_scoring_pb2

SERVICE: ServiceDescriptor = fraud_scoring_pb2.DESCRIPTOR.services_by_name[
    "FraudScoring"
]
WHOLE = "*"
# What is served beside the calls.
HEALTH_PATH, OPENAPI_PATH = "/v1/health", "/openapi.json"
_IN_PATH = re.compile(r"\{(\w+)\}")
# What any call may be refused with, besides those of its own.
_ALWAYS = (400, 401, 403, 408, 429, 431, 500, 503, 504)
_OF_A_BODY = (413, 415)


@dataclass(frozen=True, slots=True)
class Route:
    """One call: a verb and a path, and the RPC that it is.

    `body` names the field of the RPC's request that the body holds: `WHOLE` for all of
    them, "" for a call without a body. Fields in the braces of `path` come from there,
    all others from the query. `refusals` are the statuses that it has of its own.
    """

    verb: str
    path: str
    rpc: str
    body: str = ""
    refusals: tuple[int, ...] = ()

    @property
    def method(self) -> MethodDescriptor:
        """The RPC as the contract has it."""
        return SERVICE.methods_by_name[self.rpc]

    @property
    def in_path(self) -> tuple[FieldDescriptor, ...]:
        """The fields of the request that the path holds."""
        request = self.method.input_type
        return tuple(request.fields_by_name[n] for n in _IN_PATH.findall(self.path))

    @property
    def in_query(self) -> tuple[FieldDescriptor, ...]:
        """The fields of the request that the query holds.

        >>> [field.name for field in ROUTES[0].in_query]
        ['dry_run']
        """
        if self.body == WHOLE:
            return ()
        elsewhere = {self.body, *(field.name for field in self.in_path)}
        fields = self.method.input_type.fields
        return tuple(field for field in fields if field.name not in elsewhere)

    @property
    def in_body(self) -> Descriptor | None:
        """The message that the body holds; None for a call without one.

        >>> [route.in_body.name for route in ROUTES[:2]]
        ['Transaction', 'BatchCheckTransactionsRequest']
        """
        request = self.method.input_type
        if self.body in {"", WHOLE}:
            return request if self.body else None
        return request.fields_by_name[self.body].message_type

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status that it may be refused with."""
        of_body = _OF_A_BODY if self.body else ()
        return tuple(sorted({*_ALWAYS, *of_body, *self.refusals}))


ROUTES = (
    Route("post", "/v1/checks", "CheckTransaction", "transaction", (409,)),
    Route("post", "/v1/checks:batch", "BatchCheckTransactions", WHOLE),
    Route("post", "/v1/labels", "ReportLabels", WHOLE),
    Route("post", "/v1/events", "ReportEvents", WHOLE),
    Route("get", "/v1/decisions/{transaction_id}", "GetDecision", refusals=(404,)),
    Route(
        "get",
        "/v1/decisions/{transaction_id}/explanation",
        "ExplainDecision",
        refusals=(404, 422, 501),
    ),
)
