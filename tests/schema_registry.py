"""A schema registry for the tests, as the REST interface is documented.

Subjects with versions, ids shared by equal schemas, references that must be known;
a refused schema is 409, an unknown one 404, a wrong password 401.
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Registry:
    """What is registered, and what is asked of callers."""

    url: str = ""
    password: str = ""
    refuses: str = ""  # a subject whose schemas are incompatible
    ids: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str, schema: dict) -> tuple[int, dict]:
        self.asked.append(path)
        subject, _, versions = path.removeprefix("/subjects/").partition("/")
        subject, text = unquote(subject), json.dumps(schema, sort_keys=True)
        if subject == self.refuses:
            return 409, {"error_code": 409, "message": "incompatible: READER_FIELD"}
        for reference in schema.get("references", ()):
            known = self.subjects.get(reference["subject"], ())
            if not 0 < reference["version"] <= len(known):
                return 422, {"error_code": 42201, "message": "unknown reference"}
        if versions:
            known = self.subjects.setdefault(subject, [])
            if text not in known:
                known.append(text)
            return 200, {"id": self.ids.setdefault(text, 100_001 + len(self.ids))}
        if text not in self.subjects.get(subject, ()):
            return 404, {"error_code": 40403, "message": "Schema not found"}
        version = self.subjects[subject].index(text) + 1
        found = {"subject": subject, "id": self.ids[text], "version": version}
        return 200, found | {"schema": schema["schema"]}

    def schema(self, id_: int) -> dict:
        return next(
            json.loads(text) for text, known in self.ids.items() if known == id_
        )


@contextmanager
def schema_registry(**asks: str) -> Iterator[Registry]:
    registry = Registry(**asks)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            expected = (
                "Basic " + b64encode(f"risk:{registry.password}".encode()).decode()
            )
            if registry.password and self.headers["Authorization"] != expected:
                code, given = 401, {"error_code": 401, "message": "Unauthorized"}
            else:
                code, given = registry.answer(self.path, body)
            self.send_response(code)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.end_headers()
            self.wfile.write(json.dumps(given).encode())

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registry.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
