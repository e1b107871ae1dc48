"""The metrics port: Prometheus metrics, and whether this process goes forward."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

LIVENESS_PATH = "/livez"


@dataclass(slots=True)
class Liveness:
    """What a supervisor is told; `fault` gives why to restart, "" for no reason.

    A door that can say more than "the process answers" sets its own.
    """

    fault: Callable[[], str] = str


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing: a line a scrape says nothing."""


def open_metrics_port(host: str, port: int, liveness: Liveness) -> int:
    """Serve /metrics and /livez from a thread; returns the port.

    The thread answers also while the event loop hangs, which is when it matters.
    """
    server = make_server(host, port, _application(liveness), _Server, _Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_port)


def _application(liveness: Liveness) -> Callable[..., Iterable[bytes]]:
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app()

    def application(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != LIVENESS_PATH:
            return metrics(environ, start)
        fault = liveness.fault()
        status = "503 Service Unavailable" if fault else "200 OK"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{fault or 'going forward'}\n".encode()]

    return application
