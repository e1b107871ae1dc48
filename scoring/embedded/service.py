"""Our own processes, `scoring serve` and `scoring stream`, as children."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scoring.embedded.broker import FETCH_WAIT_MS, SESSION_TIMEOUT_S, embedded_broker
from scoring.embedded.child import Child
from scoring.embedded.store import embedded_store
from scoring.errors import Unavailable

# The line by which each process says that it works.
_READY = {
    "serve": r"serving grpc on (\S+)",
    "stream": r"streaming from",
    "control": r"control plane on (\S+)",
    "console": r"console on (\S+)",
}
_HTTP = r"serving http on (\S+)"
# Imports and the first join of a group, on a machine that is busy with both.
_READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A store and a broker: ours, started here, or those of the user.

    `environment` is what our processes need to be told to use them.
    """

    store_url: str
    bootstrap: str
    embedded_broker: bool
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def client(self) -> dict[str, Any]:
        """Options for aiokafka clients of this broker."""
        return {"bootstrap_servers": self.bootstrap, **self.options}

    @property
    def fetch_wait_ms(self) -> int:
        """Long-poll for consumers of this broker."""
        return FETCH_WAIT_MS if self.embedded_broker else 100

    @property
    def environment(self) -> dict[str, str]:
        """Settings by their names in the environment."""
        settings = {
            "SCORING_REDIS_URL": self.store_url,
            "SCORING_KAFKA_BOOTSTRAP": self.bootstrap,
            "SCORING_FETCH_WAIT_MS": str(self.fetch_wait_ms),
        }
        if self.embedded_broker:
            settings["SCORING_SESSION_TIMEOUT_S"] = str(SESSION_TIMEOUT_S)
        return settings

    def environment_of(
        self, name: str, *, model_dir: Path, state_dir: Path
    ) -> dict[str, str]:
        """The settings of processes that share this machine, under a name of theirs."""
        return {
            **self.environment,
            "SCORING_NAMESPACE": name,
            "SCORING_TOPIC_PREFIX": f"{name}.",
            "SCORING_MODEL_DIR": str(model_dir.resolve()),
            "SCORING_STATE_DIR": str(state_dir.resolve()),
            "SCORING_DECISION_FORMAT": "json",
            "SCORING_REFLECTION": "true",
            # Everything shares this machine; a real server keeps the defaults.
            "SCORING_BUDGET_MS": "1000",
            "SCORING_STORE_BUDGET_MS": "500",
        }


@contextmanager
def parts(
    store_url: str = "",
    bootstrap: str = "",
    *,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Parts]:
    """Use the store and broker given; start what is not, until the block ends.

    `options` are those of aiokafka clients of a given broker.
    """
    with ExitStack() as stack:
        ours = not bootstrap
        yield Parts(
            store_url or stack.enter_context(embedded_store()),
            bootstrap or stack.enter_context(embedded_broker()),
            embedded_broker=ours,
            options={} if ours else options or {},
        )


@contextmanager
def services(
    commands: Sequence[str],
    environment: Mapping[str, str],
    *,
    directory: Path,
    own: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[list[ServiceProcess]]:
    """Run `scoring COMMAND` for each until the block ends; yields them at work.

    They start side by side. `environment` holds SCORING_ settings, paths absolute, and
    `own` what one command has beside them.
    The output of each goes to COMMAND.log in `directory`. Raises `Unavailable` with
    the last words of one that does not start.
    """
    children = [
        (name, _child(name, {**environment, **(own or {}).get(name, {})}, directory))
        for name in commands
    ]
    try:
        for _, child in children:
            child.begin()
        yield [_started(name, child) for name, child in children]
    finally:
        for _, child in reversed(children):
            child.stop()


@contextmanager
def service(
    command: str, environment: Mapping[str, str], *, directory: Path
) -> Iterator[ServiceProcess]:
    """Run one; see `services`."""
    with services([command], environment, directory=directory) as (started,):
        yield started


def _child(command: str, environment: Mapping[str, str], directory: Path) -> Child:
    log_file = directory.resolve() / f"{command}.log"
    log_file.unlink(missing_ok=True)
    settings = [f"{name}={value}" for name, value in environment.items()]
    arguments = [
        "/usr/bin/env", *settings, sys.executable, "-u", "-m", "scoring", command
    ]  # fmt: skip

    def works(_port: int) -> bool:
        return log_file.exists() and _announced(command, log_file) is not None

    return Child(lambda _port: arguments, works, log_file, ready_s=_READY_S)


def _announced(command: str, log_file: Path) -> re.Match[str] | None:
    return re.search(_READY[command], log_file.read_text(errors="replace"))


def _started(command: str, child: Child) -> ServiceProcess:
    try:
        child.start()
    except RuntimeError as error:
        raise Unavailable(
            f"`scoring {command}` did not start; its last words:\n"
            f"{child.last_words()}\nThe whole log is {child.log_file}"
        ) from error
    found = _announced(command, child.log_file)
    assert found is not None
    http = re.search(_HTTP, child.log_file.read_text(errors="replace"))
    address = found[1] if found.groups() else ""
    return ServiceProcess(command, child, address, http[1] if http else "")


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A running process of ours; `address` is the gRPC door's host:port, or the
    URL of control plane or console.

    `http_address` is the HTTP door's, where it has one.
    """

    command: str
    child: Child
    address: str
    http_address: str = ""

    @property
    def running(self) -> bool:
        """Whether it is still there."""
        return self.child.running

    @property
    def obituary(self) -> str:
        """Its last words, and what a person can do."""
        return (
            f"`scoring {self.command}` ended by itself; its last words:\n"
            f"{self.child.last_words()}\n"
            f"The whole log is {self.child.log_file}. Put right what it names and "
            "start again; `make setup` restores the packages."
        )
