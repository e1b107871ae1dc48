"""Debian's Prometheus, scraping processes of ours, and the dashboards asked of it."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import toolbox
import yaml
from promql import CHART

from scoring.embedded.child import free_port

READY_S_MAX = 60


@contextmanager
def prometheus(directory: Path, targets: Mapping[str, str]) -> Iterator[str]:
    """Scrapes host:port by job every second, by the chart's rules; gives its URL."""
    binary = toolbox.required(lambda: toolbox.of_debian("prometheus"))
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [target]}]}
        for name, target in targets.items()
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(CHART / "files" / "alerts.yaml")],
        "scrape_configs": jobs,
    }
    directory.mkdir()
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'series'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ]
    )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def answered(url: str, query: str) -> bool:
    """Whether a query has any answer now."""
    try:
        reply = httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=10)
    except httpx.TransportError:
        return False  # it starts
    told = reply.json()
    assert told["status"] == "success", (query, told)
    return bool(told["data"]["result"])


def shown() -> list[str]:
    """Every query of every dashboard, as Grafana asks it for all installations."""
    queries = []
    for path in sorted((CHART / "files" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        filled = {one["name"]: one["query"] for one in board["templating"]["list"]}
        filled |= {"namespace": ".*", "__rate_interval": "10s"}
        for panel in board["panels"]:
            for target in panel["targets"]:
                query = target["expr"]
                for name, value in filled.items():
                    query = query.replace(f"${name}", value)
                queries.append(query)
    return queries


def empty_panels(url: str) -> list[str]:
    """The queries without an answer, once none is left or the time is up."""
    ends = time.monotonic() + READY_S_MAX
    left = shown()
    assert left
    while left := [query for query in left if not answered(url, query)]:
        if time.monotonic() > ends:
            break
        time.sleep(0.5)
    return left
