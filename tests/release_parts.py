"""Policies and records of the topic `control`, as the control plane writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.policy.shipped_policy import shipped_text
from scoring.core.release.policy_release import POLICY_KEY, PolicyRelease, PolicyText
from scoring.wire.control_json import release_to_json, sealing, text_to_json

CATALOGUE = default_catalogue()


@dataclass(frozen=True)
class Record:
    """One as the client hands it over."""

    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    topic: str = "control"
    offset: int = 0


@cache
def policy_text(number: int) -> PolicyText:
    """The shipped policy under another name: another version for each number."""
    text = shipped_text().replace("version: 1\n", f"version: 1\n# no. {number}\n", 1)
    text = _renamed(text, f"policy {number}")
    policy = load_policy(text, catalogue=CATALOGUE, name="policy")
    return PolicyText(policy.version, text)


def _renamed(text: str, name: str) -> str:
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.startswith("name:"))
    lines[at] = f"name: {name}\n"
    return "".join(lines)


@dataclass
class Outbox:
    """Numbers what it writes, as the control plane's does."""

    sequence: int = 0
    records: list[Record] = field(default_factory=list)

    def put(self, key: str, value: bytes | None) -> Record:
        self.sequence += 1
        headers = tuple(sealing(self.sequence, value))
        record = Record(key.encode(), value, headers, offset=self.sequence)
        self.records.append(record)
        return record

    def text(self, number: int) -> Record:
        text = policy_text(number)
        return self.put(text.key, text_to_json(text))

    def release(self, number: int, **more) -> Record:
        """Release so many of the policy of that number; its text must come before."""
        release = PolicyRelease(
            release=number, policy=policy_text(number).version, **more
        )
        return self.put(POLICY_KEY, release_to_json(release))

    def publish(self, number: int, **more) -> list[Record]:
        return [self.text(number), self.release(number, **more)]
