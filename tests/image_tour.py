"""A day and a disaster in the image: every command of the guides, each watched."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaProducer
from contacts import contacts, watched
from image import Image
from stream_parts import Input, transaction

from scoring.client import Client, Decision, Transaction
from scoring.wiring.services import now_ms

_READY_S_MAX = 120.0
_SERVED_S_MIN = 25.0  # ONNX Runtime reported first after some ten seconds
_COSTS = """\
version: 1
costs:
  missed_fraud: {share: 1.0, fixed_minor: 1500}
  refused_customer: {share: 0.03, fixed_minor: 800}
  challenge: {fixed_minor: 10, genuine_abandons: 0.08, fraud_passes: 0.05}
  review: {fixed_minor: 350, fraud_found: 0.9, genuine_refused: 0.02}
"""
_TRAINS = ["--rounds", "5", "--label-delay-days", "2"]


@dataclass(slots=True)
class Tour:
    """Runs commands of the image as a container would: its environment and no other.

    `told` is whom the settings name; `tried` the commands that ran.
    """

    image: Image
    directory: Path
    settings: dict[str, str]
    told: set[str]
    tried: list[str] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where a library would keep what nobody asked it to keep."""
        return self.directory / "home"

    @property
    def contacted(self) -> set[str]:
        """Whom any of the commands contacted."""
        return contacts(*self.logs)

    def run(self, line: str, *more: str, ends: int = 0) -> str:
        """Run one command to its end; returns what it printed."""
        words = [*line.split(), *more]
        done = subprocess.run(
            self._watched(words),
            **self._surroundings(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == ends, f"scoring {' '.join(words)}\n{done.stdout}"
        assert "Traceback" not in done.stdout
        return done.stdout

    @contextmanager
    def running(self, line: str, ready: str) -> Iterator[str]:
        """Run one command until the block ends; yields its line that begins so."""
        out = self.directory / f"{line.split(maxsplit=1)[0]}.out"
        with out.open("wb") as file:
            process = subprocess.Popen(
                self._watched(line.split()),
                **self._surroundings(),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _line_of(out, ready, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def _watched(self, words: list[str]) -> list[str]:
        self.tried.append(" ".join(words))
        self.logs.append(self.directory / f"contacts-{len(self.logs)}.log")
        return watched([*self.image.command, *words], self.logs[-1])

    def _surroundings(self) -> dict:
        self.home.mkdir(exist_ok=True)
        environment = {
            **self.image.environment,
            "PATH": f"{self.image.within('/app/.venv/bin')}:/usr/bin:/bin",
            "HOME": str(self.home),
            **self.settings,
        }
        # The service must turn it off by itself, too.
        environment.pop("ORT_DISABLE_TELEMETRY")
        return {"cwd": self.directory, "env": environment}


def _line_of(out: Path, beginning: str, process: subprocess.Popen) -> str:
    gives_up_at = time.monotonic() + _READY_S_MAX
    while time.monotonic() < gives_up_at:
        said = out.read_text(errors="replace")
        for line in said.splitlines():
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        assert process.poll() is None, said
        time.sleep(0.1)
    raise AssertionError(f"it never said {beginning!r}: {said}")


def take(tour: Tour) -> None:
    """Everything that the guides ask for, in an order that makes sense."""
    _prepare(tour)
    first, second = _train(tour)
    began = time.monotonic()
    with (
        tour.running("serve", "serving grpc on ") as address,
        tour.running("stream", "streaming from ") as _,
    ):
        ids = _pay(tour, address)
        _follow(tour, first, second)
        _lose(tour)
        _govern(tour)
        _explain(address, ids)
        _replay(tour)
        time.sleep(max(0.0, _SERVED_S_MIN - (time.monotonic() - began)))


def _prepare(tour: Tour) -> None:
    tour.run("features describe")
    tour.run("features shipped --for pos")
    tour.run("topics create --partitions 2 --replication 1")
    tour.run("topics check")
    tour.run("topics schemas schemas")
    (tour.directory / "policy.yaml").write_text(tour.run("policy shipped"))
    (tour.directory / "reasons.yaml").write_text(tour.run("policy reasons"))
    tour.run("policy check policy.yaml")
    tour.run("policy show")
    (definitions,) = tour.image.within("/app/.venv").rglob("defaults/features.yaml")
    tour.run(f"features check {definitions}")
    rates = tour.directory / "rates.csv"
    rates.write_text("from,currency,reference,rate\n2026-11-01,USD,EUR,0.87\n")
    tour.run(f"rates check {rates}")
    tour.run(f"rates show {rates}")


def _train(tour: Tour) -> list[str]:
    """Two models in the registry that the services read; their versions."""
    tour.run("simulate town.parquet --days 12 --customers 200 --terminals 2000")
    tour.run("train town.parquet --depth 2", *_TRAINS)
    tour.run("train town.parquet --depth 3", *_TRAINS)
    listed = tour.run("models list")
    registry = Path(tour.settings["SCORING_MODEL_DIR"])
    versions = sorted(path.parent.name for path in registry.glob("*/manifest.json"))
    assert len(versions) == 2
    assert all(version in listed for version in versions)
    tour.run("models key keys")
    for version in versions:
        tour.run(f"models sign {version} --key keys/model-signing.pem")
    tour.run(f"models show {versions[0]}")
    tour.run(f"models promote {versions[0]}")
    tour.run(f"models promote {versions[1]}")
    tour.run("models rollback")
    tour.run(f"models push {versions[0]} file://{tour.directory}/storage")
    return versions


def _pay(tour: Tour, address: str) -> list[str]:
    ids = [f"door-{number}" for number in range(30)]
    with Client(address, timeout_s=30) as client:
        for number, id_ in enumerate(ids):
            decision = client.check(
                Transaction(
                    "default",
                    id_,
                    occurred_at_ms=now_ms() - 60_000,
                    amount_minor=1_000 + number,
                    currency="EUR",
                    card=f"card-{number % 3}",
                )
            )
            assert isinstance(decision, Decision)
    asyncio.run(_send(tour))
    tour.run("tail decisions --from-beginning --plain --count 60")
    _call(tour, address)
    return ids


def _call(tour: Tour, address: str) -> None:
    """From the shell, as a person looks one payment up."""
    at = ("--target", address, "--timeout", "60")
    what = ("--occurred-at", "now", "--amount-minor", "5", "--currency", "EUR")
    tour.run("check --id shell-1", *what, *at)
    tour.run("decision shell-1", *at)
    tour.run("explain shell-1", *at)
    tour.run("label shell-1 --verdict legitimate", *at)
    tour.run("event shell-1 --kind captured --event-id e1", *at)


async def _send(tour: Tour) -> None:
    """Thirty payments, and one that is none."""
    topic = f"{tour.settings['SCORING_TOPIC_PREFIX']}transactions"
    sent = [Input.of(transaction(f"t{number}")) for number in range(30)]
    producer = AIOKafkaProducer(
        bootstrap_servers=tour.settings["SCORING_KAFKA_BOOTSTRAP"]
    )
    await producer.start()
    for one in [*sent, Input(b"no payment", b"card-1")]:
        headers = [("content-type", (one.content_type or "").encode())]
        await producer.send_and_wait(topic, one.value, key=one.key, headers=headers)
    await producer.stop()


def _follow(tour: Tour, first: str, second: str) -> None:
    listed = tour.run("dead-letters list")
    (letter,) = {word for word in listed.split() if "@" in word and word[0].isdigit()}
    tour.run(f"dead-letters show {letter}")
    tour.run(f"dead-letters replay {letter} --yes")
    tour.run(f"shadow {second} --from-beginning --until-end")
    tour.run(f"models compare {first} {second}")


def _lose(tour: Tour) -> None:
    """Archive, lose the store, rebuild it, and prove that nothing is different."""
    tour.run("archive")
    tour.run("forget card:card-2")
    tour.said["rebuild"] = tour.run("rebuild --wipe")
    tour.said["audit"] = tour.run("features audit --sample 100")


def _govern(tour: Tour) -> None:
    """A policy's week and a managed list, then the control plane itself."""
    text = (tour.directory / "policy.yaml").read_text()
    milder = text.replace("decline: 0.50", "decline: 0.60")
    (tour.directory / "milder.yaml").write_text(milder)
    (tour.directory / "costs.yaml").write_text(_COSTS)
    first, second = (
        re.findall("[0-9a-f]{16}", tour.run(f"policy check {name}.yaml"))[0]
        for name in ("policy", "milder")
    )
    tour.run("policy draft policy.yaml --why first")
    tour.run("policy propose 1")
    tour.run(f"policy approve 1 {first} --release --why first")
    tour.run("policy draft milder.yaml --based-on 1")
    tour.run("policy diff 2")
    tour.run("policy text 2")
    tour.run("policy backtest milder.yaml --against policy.yaml")
    tour.run("policy report --policy milder.yaml --cost costs.yaml --csv tables")
    tour.run("policy thresholds --policy policy.yaml --cost costs.yaml")
    tour.run("policy propose 2 --for candidate --share 0.5")
    tour.run(f"policy approve 2 {second} --why half")
    tour.run("policy rollout 2 0.5")
    tour.run("policy propose 2")
    tour.run(f"policy approve 3 {second} --release --why all")
    tour.run("policy rearm * --why mended")
    tour.run("policy rollback --why harm")
    tour.run("policy republish --why restored")
    tour.run("policy history")
    _list(tour)
    _cases(tour)
    tour.run("control people add ann --role author")
    tour.run("control people list")
    tour.run("control people remove ann")
    tour.run("audit log")
    tour.run("audit verify")
    tour.run("audit export --out audit.jsonl")
    with tour.running("control --address 127.0.0.1:0", "control plane on ") as url:
        # What runs here follows a policy file, and reports to no control plane.
        tour.run(f"control replicas --control {url}")
        with tour.running("console --address 127.0.0.1:0", "console on "):
            pass


def _list(tour: Tour) -> None:
    (tour.directory / "cards.csv").write_text("token,reason\ncard-7,a case\n")
    tour.run("lists create stolen --field card --kind block")
    tour.run("lists add stolen card-9 --reason case")
    tour.run("lists import stolen cards.csv")
    tour.run("lists show")
    tour.run("lists imports stolen")
    tour.run("lists entries stolen --prefix card")
    tour.run("lists export stolen --out stolen.jsonl")
    tour.run("lists undo stolen 1")
    tour.run("lists remove stolen card-9")


def _cases(tour: Tour) -> None:
    tour.run("cases figures")
    tour.run("cases list --order largest")
    tour.run("cases find card card-9")
    assert "erased 0 cases" in tour.run("cases forget card card-9 --yes")
    assert "0 cases" in tour.run("cases bulk --close fraud --dry-run")
    for words in ("take 17", "show 17", "note 17 called", "close 17 --verdict fraud"):
        assert "no case 17" in tour.run(f"cases {words}", ends=2)


def _explain(address: str, ids: list[str]) -> None:
    with Client(address, timeout_s=30) as client:
        explained = client.explanation(ids[0], timeout_s=60)
    assert explained.contributions


def _replay(tour: Tour) -> None:
    tour.run("simulate small.parquet --days 2 --customers 30 --terminals 60")
    tour.run("replay small.parquet --describe")
    tour.run("replay small.parquet --through grpc --out a.parquet")
    tour.run("replay small.parquet --through grpc --out b.parquet")
    tour.run("replay compare a.parquet b.parquet")
    tour.run("replay report a.parquet")
    tour.run("replay offline small.parquet a.parquet")


def settings_of(
    store_url: str, bootstrap: str, directory: Path, name: str
) -> dict[str, str]:
    """A container's settings: its store, its broker, and directories of its own."""
    return {
        "SCORING_REDIS_URL": store_url,
        "SCORING_KAFKA_BOOTSTRAP": bootstrap,
        "SCORING_NAMESPACE": name,
        "SCORING_TOPIC_PREFIX": f"{name}.",
        "SCORING_MODEL_DIR": str(directory / "models"),
        "SCORING_STATE_DIR": str(directory / "state"),
        "SCORING_ARCHIVE_DIR": str(directory / "archive"),
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
        "SCORING_METRICS_HOST": "127.0.0.1",
        # One person governs, and the tour is short.
        "SCORING_CONTROL_SINGLE_USER": "true",
        # What the embedded broker needs: a group of one waits for half of a session.
        "SCORING_FETCH_WAIT_MS": "5",
        "SCORING_SESSION_TIMEOUT_S": "3",
        # The machine of the tests is shared.
        "SCORING_BUDGET_MS": "5000",
        "SCORING_STORE_BUDGET_MS": "2000",
        "COLUMNS": "200",
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
    }
