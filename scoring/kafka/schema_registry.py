"""Our schemas at a registry that speaks Confluent's REST interface."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlunsplit
from urllib.request import Request, urlopen

from google.protobuf.descriptor import Descriptor

from scoring import wire
from scoring.core.url import shown as shown_url
from scoring.core.url import split_url
from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.topic_names import Topics
from scoring.wire.proto_text import proto_text
from scoring.wire.schemas import MESSAGES, json_schema

_TYPE = "application/vnd.schemaregistry.v1+json"
_TIMEOUT_S = 10.0
_NOT_FOUND = 404
# Read at once: what it defines is known to every client of a registry.
_KNOWN = "google/protobuf/"


@dataclass(frozen=True, slots=True)
class SchemaRegistry:
    """One registry; subjects are named by the topic, "decisions-value".

    `registers` says that what is missing is registered; otherwise it must be there.
    The URL may carry user and password.
    """

    url: str
    registers: bool = True

    def frames(self, topics: Topics, *, content_type: str) -> dict[str, bytes]:
        """What is before the values that we write, by topic; blocks.

        Raises `LogUnavailable` without an answer, and `BadArtifact` where a schema
        is refused or missing.
        """
        ours = (
            topics.decisions,
            topics.transactions_dead_letter,
            topics.labels_dead_letter,
            topics.events_dead_letter,
        )
        return {
            topic: self._frame(topic, MESSAGES[name], content_type)
            for topic in ours
            for name in [topic.removeprefix(topics.prefix)]
        }

    def _frame(self, topic: str, message: Descriptor, content_type: str) -> bytes:
        subject = f"{topic}-value"
        if content_type == wire.JSON:
            text = json.dumps(json_schema(message, title=message.name))
            schema = {"schemaType": "JSON", "schema": text}
            return wire.frame_of(self._known(subject, schema)["id"])
        schema = self._file(message.file)
        return wire.frame_of(self._known(subject, schema)["id"], message)

    def _file(self, file: Any) -> dict[str, Any]:
        """A .proto file as a registry takes it; what it imports is known there."""
        references = [
            {
                "name": imported.name,
                "subject": imported.name,
                "version": self._known(imported.name, self._file(imported))["version"],
            }
            for imported in file.dependencies
            if not imported.name.startswith(_KNOWN)
        ]
        return {
            "schemaType": "PROTOBUF",
            "schema": proto_text(file.name.rsplit("/", 1)[-1]),
            "references": references,
        }

    def _known(self, subject: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Subject, id and version of a schema, registered where that is wanted."""
        path = f"/subjects/{quote(subject, safe='')}"
        if self.registers:
            self._post(f"{path}/versions", schema, subject)
        return self._post(path, schema, subject)

    def _post(self, path: str, body: Mapping[str, Any], subject: str) -> dict[str, Any]:
        place = split_url(self.url, setting="SCORING_SCHEMA_REGISTRY_URL")
        shown = place.hostname or shown_url(self.url)
        bare = place._replace(netloc=place.netloc.rpartition("@")[2])
        headers = {"Content-Type": _TYPE, "Accept": f"{_TYPE}, application/json"}
        if place.username:
            user = f"{unquote(place.username)}:{unquote(place.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        request = Request(  # noqa: S310 - the operator's own URL
            urlunsplit(bare).rstrip("/") + path, json.dumps(body).encode(), headers
        )
        try:
            with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
                found: dict[str, Any] = json.load(response)
                return found
        except HTTPError as error:
            raise BadArtifact(_refusal(error, subject, shown)) from error
        except (OSError, ValueError) as error:
            raise LogUnavailable(f"no schema registry answers at {shown}") from error


def _refusal(error: HTTPError, subject: str, shown: str) -> str:
    if error.code == _NOT_FOUND:
        return (
            f"{subject}: its schema is not at the registry {shown}; register it, or "
            "set SCORING_SCHEMA_REGISTRY_REGISTERS=true"
        )
    try:
        said = str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        said = error.reason
    return f"{subject}: the registry {shown} refused the schema: {said}"
