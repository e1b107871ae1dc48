"""The people of a demo: one of each role, with a token each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scoring.client.control_plane import ControlApi, OverHttp

# The risk team's guide has the same names.
PEOPLE: Mapping[str, str] = {
    "ann": "author",
    "bob": "approver",
    "fay": "analyst",
    "eve": "viewer",
}


def invite(url: str, directory: Path) -> dict[str, str]:
    """Give a token to each who has none yet; by name, as in NAME.token there.

    `directory` is the state directory of the control plane that listens at `url`.
    """
    own = (directory / "control.token").read_text("utf-8").strip()
    admin, tokens = ControlApi(OverHttp(url, own)), {}
    there = {each["name"] for each in admin.items("people")}
    for name, role in PEOPLE.items():
        file = directory / f"{name}.token"
        if name in there and file.exists():
            tokens[name] = file.read_text("utf-8").strip()
            continue
        made = admin.post("people", body={"name": name, "roles": [role]}).json
        tokens[name] = made["token"]
        file.touch(mode=0o600)
        file.write_text(f"{made['token']}\n")
    return tokens


def apis_of(url: str, tokens: Mapping[str, str]) -> dict[str, ControlApi]:
    """The control plane as each holder of a token comes to it."""
    return {name: ControlApi(OverHttp(url, token)) for name, token in tokens.items()}
