"""The metrics port: Prometheus metrics, and how this process is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from scoring.errors import CannotListen

LIVENESS_PATH, READINESS_PATH = "/livez", "/readyz"


@dataclass(slots=True)
class Liveness:
    """What a supervisor is told; `fault` gives why to restart, "" for no reason.

    A door that can say more than "the process answers" sets its own. `waits_for` is
    what it lacks to do its work, "" for nothing; of `outside` it can do without each.
    """

    fault: Callable[[], str] = str
    waits_for: str = "its start"
    outside: Mapping[str, Callable[[], bool]] = field(default_factory=dict)

    def readiness(self) -> str:
        """What to wait for before sending work here, "" for nothing."""
        return f"waits for {self.waits_for}" if self.waits_for else ""

    def condition(self) -> str:
        """How the outside systems are that this process works with.

        >>> Liveness(waits_for="", outside={"store": lambda: False}).condition()
        'ready; store unavailable'
        """
        states = [
            f"{name} unavailable" for name, is_up in self.outside.items() if not is_up()
        ]
        return "; ".join(["ready", *states])


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing: a line a scrape says nothing."""


def open_metrics_port(host: str, port: int, liveness: Liveness) -> int:
    """Serve /metrics, /livez and /readyz from a thread; returns the port.

    The thread answers also while the event loop hangs, which is when it matters.
    Raises `CannotListen`.
    """
    try:
        server = make_server(host, port, _application(liveness), _Server, _Silent)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise CannotListen(
            f"SCORING_METRICS_PORT: {host}:{port}: cannot listen: {why}"
        ) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_port)


def _application(liveness: Liveness) -> Callable[..., Iterable[bytes]]:
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app()

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == LIVENESS_PATH:
            return told(start, liveness.fault(), "going forward")
        if environ["PATH_INFO"] == READINESS_PATH:
            return told(start, liveness.readiness(), liveness.condition())
        return metrics(environ, start)

    def told(start: Any, fault: str, well: str) -> list[bytes]:
        status = "503 Service Unavailable" if fault else "200 OK"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{fault or well}\n".encode()]

    return application
