"""Policies by version: every text that was released, and some compiled."""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TypeVar

from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.reasons import ReasonTable, default_reasons, load_reasons
from scoring.core.release.policy_release import PolicyText
from scoring.errors import BadArtifact, CorruptState
from scoring.releases.state_files import read_whole, write_whole
from scoring.wire.control_json import text_from_json, text_to_json

# In memory: what a release names, and those that people ask for. A compiled policy of
# 50 rules is 1 MB, the largest text 1 MB.
_COMPILED_MAX = 8
_TEXTS_MAX = 16
# While a policy is compiled in a thread, the event loop asks for the interpreter every
# time it wakes, and waits for so long. Python's own 5 ms are all that a stall may be.
_SWITCH_S = 0.0005
V = TypeVar("V")
_VERSION = re.compile("[0-9a-f]{16}")


@dataclass(slots=True)
class PolicyRegistry:
    """Texts in a directory, the newest of them in memory too; compiled on demand.

    Its methods block: call them off the event loop. They may be called from several
    threads.
    """

    directory: Path
    catalogue: Catalogue
    _texts: OrderedDict[str, PolicyText] = field(default_factory=OrderedDict)
    _compiled: OrderedDict[str, Policy] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)
    _compiling: Lock = field(default_factory=Lock)

    def keep(self, text: PolicyText) -> None:
        """Remember a text; raises `OSError` where it cannot be written.

        It is then in memory for now.
        """
        with self._lock:
            _put(self._texts, text.version, text, _TEXTS_MAX)
        path = self._path(text.version)
        body = text_to_json(text)
        try:
            if read_whole(path) == body:
                return
        except CorruptState:
            pass  # written anew
        write_whole(path, body)

    def text(self, version: str) -> PolicyText | None:
        """The text of a version; None where it is not known here, or damaged."""
        with self._lock:
            found = self._texts.get(version)
        if found is not None:
            return found
        if not _VERSION.fullmatch(version):  # it names a file
            return None
        try:
            body = read_whole(self._path(version))
            return None if body is None else text_from_json(body)
        except (CorruptState, OSError):
            return None

    def policy(self, version: str) -> Policy:
        """The compiled policy; raises `BadArtifact` for one that cannot run here.

        Raises `CorruptState` where its text is not known, or damaged.
        """
        with self._compiling:  # one at a time: no more than a core from deciding
            found = self._compiled.get(version)
            if found is None:
                text = self.text(version)
                if text is None:
                    raise CorruptState(
                        f"the text of policy {version} is not known here"
                    )
                with _giving_way():
                    found = compiled(text, self.catalogue)
            _put(self._compiled, version, found, _COMPILED_MAX)
            return found

    def _path(self, version: str) -> Path:
        return self.directory / f"{version}.json"


def compiled(text: PolicyText, catalogue: Catalogue) -> Policy:
    """A policy of its text, proved to be the version that it is said to be.

    Raises `BadArtifact`: for mistakes, and for a text that is another version here.
    """
    name = f"policy {text.version}"
    reasons = _reasons(text.reasons, catalogue)
    policy = load_policy(text.text, catalogue=catalogue, name=name, reasons=reasons)
    if policy.version != text.version:
        raise BadArtifact(
            f"{name}: is {policy.version} here: this process has other feature "
            "definitions, or is of another release, than the control plane"
        )
    return policy


@lru_cache(maxsize=2)  # most releases keep the reasons: 50 rules compile as fast
def _reasons(text: str | None, catalogue: Catalogue) -> ReasonTable:
    """The reasons of a text, or the shipped ones; raises `BadArtifact`."""
    if text is None:
        return default_reasons(catalogue)
    return load_reasons(text, catalogue=catalogue, name="reasons of the policy")


def _put(kept: OrderedDict[str, V], key: str, value: V, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)


@contextmanager
def _giving_way() -> Iterator[None]:
    """Let other threads have the interpreter soon while this one computes."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
