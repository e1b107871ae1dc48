"""Which service is called, how, and as whom: options, each with a variable."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from scoring.cli.calls import TARGET, is_target
from scoring.cli.calls.ending import Misuse
from scoring.client import CallIds, Client, Security

DEFAULT_TARGET = "127.0.0.1:50051"
# An explanation may have to load a model first.
_DEFAULT_TIMEOUT_S, _EXPLAIN_TIMEOUT_S = 10.0, 60.0
# Option, its variable, and what it says.
_OPTIONS = (
    ("--target", TARGET, f"the service's host:port; default {DEFAULT_TARGET}"),
    ("--timeout", f"{TARGET}_TIMEOUT_S", "seconds it may take; default 10, explain 60"),
    ("--tls", f"{TARGET}_TLS", "yes: encrypt, and trust the usual authorities"),
    ("--ca-file", f"{TARGET}_CA_FILE", "PEM roots of the service; encrypts"),
    ("--cert-file", f"{TARGET}_CERT_FILE", "our PEM certificate, for mutual TLS"),
    ("--key-file", f"{TARGET}_KEY_FILE", "the PEM key of that certificate"),
    ("--server-name", f"{TARGET}_SERVER_NAME", "the name in the service's certificate"),
    ("--token-file", f"{TARGET}_TOKEN_FILE", "a file with a token that names us"),
)  # fmt: skip
VARIABLES = tuple(variable for _, variable, _ in _OPTIONS)
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def add_options(parser: ArgumentParser) -> None:
    """Offer them; the environment says what is not given."""
    group = parser.add_argument_group("the service")
    for option, variable, told in _OPTIONS:
        group.add_argument(
            option,
            default=os.environ.get(variable) or None,
            metavar=option.rpartition("-")[2].upper(),
            help=f"{told} [{variable}]",
        )
    group.add_argument("--request-id", default="", help="our own name for the call")


def client_of(options: Namespace) -> Client:
    """Connect as the options say; raises `Misuse`, and `OSError` for a file."""
    target = options.target or DEFAULT_TARGET
    if found := re.match(r"https?://", target, re.IGNORECASE):
        told = f"is host:port, also in {TARGET}: leave out {found[0]}"
        raise Misuse("--target", f"{told}; --tls yes encrypts")
    return Client(
        target,
        timeout_s=_seconds(options),
        security=_security(options),
    )


def ids_of(options: Namespace) -> CallIds:
    """How the call is named."""
    return CallIds(options.request_id)


def unread(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that is named like one of ours and is none.

    >>> unread({"SCORING_TARGET_CAFILE": "ca.pem", "SCORING_TARGET": "h:1"})
    ['SCORING_TARGET_CAFILE is not read; the nearest: SCORING_TARGET_CA_FILE']
    """
    ours = (name for name in sorted(environment) if is_target(name))
    return [
        f"{name} is not read; the nearest: {_nearest(name)}"
        for name in ours
        if name not in VARIABLES
    ]


def _nearest(name: str) -> str:
    return get_close_matches(name, VARIABLES, n=1, cutoff=0)[0]


def _seconds(options: Namespace) -> float:
    if options.timeout is None:
        explains = options.command == "explain"
        return _EXPLAIN_TIMEOUT_S if explains else _DEFAULT_TIMEOUT_S
    try:
        seconds = float(options.timeout)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise Misuse("--timeout", "must be seconds, more than 0")
    return seconds


def _security(options: Namespace) -> Security | None:
    wanted = _WORDS.get((options.tls or "no").lower())
    if wanted is None:
        raise Misuse("--tls", "must be yes or no")
    if not (wanted or options.ca_file):
        for name in ("cert_file", "key_file", "server_name", "token_file"):
            if getattr(options, name):
                option = f"--{name.replace('_', '-')}"
                raise Misuse(option, "needs TLS: add --ca-file, or --tls")
        return None
    if bool(options.cert_file) != bool(options.key_file):
        raise Misuse("--cert-file", "and --key-file go together")
    return Security(
        _path(options.ca_file),
        _path(options.cert_file),
        _path(options.key_file),
        options.server_name or "",
        _path(options.token_file),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
