"""Files of the state directory: each whole, and known to be as it was written."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from scoring.errors import CorruptState

_DIGEST_CHARACTERS = 64


def write_whole(path: Path, body: bytes) -> None:
    """Put a file in place of the one there, at once and to the disk; raises `OSError`.

    Several processes may write one path: each reader gets what one of them wrote.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            file.write(sha256(body).hexdigest().encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def read_whole(path: Path) -> bytes | None:
    """What `write_whole` wrote; None where there is no such file.

    Raises `OSError`, and `CorruptState` for what is not as it was written.
    """
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        return None
    body = written[_DIGEST_CHARACTERS + 1 :]
    if sha256(body).hexdigest().encode() != written[:_DIGEST_CHARACTERS]:
        raise CorruptState(f"{path}: is not as it was written")
    return body
