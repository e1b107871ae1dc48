"""What processes contact, told by the kernel: every connection and every look-up.

`strace` sees the calls of every library and of every child, whatever they are written
in: a guard within Python would miss those that do not ask Python.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

_CALLS = "connect,sendto,sendmsg,sendmmsg"
_ADDRESS = re.compile(
    r"sin6?_port=htons\((?P<port>\d+)\).*?"
    r'(?:inet_addr\(|inet_pton\(AF_INET6, )"(?P<host>[^"]+)"'
)
_SENT = re.compile(r'(?:sendto\(\d+, |iov_base=)"((?:[^"\\]|\\.)*)"')
# One question, and no answers: how a query to a name server goes on after its number.
_QUESTION = re.compile(rb"....\x00\x01\x00\x00\x00\x00\x00[\x00\x01]", re.DOTALL)


def watched(command: Sequence[object], log: Path) -> list[str]:
    """The command, run so that `contacts` of the log tells what it contacted."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.fail("needs strace: apt-get install strace")
    options = ["-D", "-f", "--seccomp-bpf", "-qq", "-s", "400", "-e", f"trace={_CALLS}"]
    return [strace, *options, "-o", str(log), "--", *map(str, command)]


def contacts(*logs: Path) -> set[str]:
    """Whom processes contacted: "host:port", and "?name" for a name looked up."""
    found = set()
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            if " connect(" in line or "msg_name=" in line or "sendto(" in line:
                found |= {_place(at) for at in _ADDRESS.finditer(line)}
            found |= {f"?{name}" for name in _names(line)}
    return found


def _place(at: re.Match[str]) -> str:
    return f"{at['host'].removeprefix('::ffff:')}:{at['port']}"


def _names(line: str) -> list[str]:
    names = []
    for text in _SENT.findall(line):
        sent = ast.literal_eval(f'b"{text}"')
        if _QUESTION.match(sent):
            names.append(_name(sent[12:]))
    return names


def _name(question: bytes) -> str:
    parts = []
    while question and question[0]:
        parts.append(question[1 : 1 + question[0]].decode(errors="replace"))
        question = question[1 + question[0] :]
    return ".".join(parts)
