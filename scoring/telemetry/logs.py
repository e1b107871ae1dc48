"""What a process says, a line an event: for machines as JSON, for people as text."""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from scoring.core.repetition import Repetition
from scoring.core.transaction.card_number import masked_text
from scoring.telemetry.line_writer import LineWriter

FORMATS = ("console", "json")
# What every record has: the rest is what a line says beside its text.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS = "scoring"
_NUMBER = re.compile(r"\d+")
# What would begin another line, or move the cursor of who reads it.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Of the same cause, so many in a minute; see `Sink`.
_REPEATS = "repeats"


class Lines(logging.Formatter):
    """One line a record, without a card number: time, level, who says it, what.

    `extra` of the logging call are its fields: `cause`, `peer`, `decision` and others.
    What looks like a card number is overwritten wherever it is.
    """

    def __init__(self, style: str) -> None:
        """`style` is one of `FORMATS`."""
        super().__init__()
        self._write = _json if style == "json" else _console

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC)
        said = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _without_cards(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _USUAL and name != _REPEATS:
                said.setdefault(name, _plain(value))
        if record.exc_info:
            said["traceback"] = _without_cards(self.formatException(record.exc_info))
        return self._write(said)


class Output(Protocol):
    """Where lines go: a text stream, or a `LineWriter`."""

    def write(self, line: str, /) -> object:
        """Take a line."""
        ...

    def flush(self) -> object:
        """Keep nothing back."""
        ...


class Sink(logging.StreamHandler[Output]):
    """All lines. What repeats itself is said once a minute, and counted.

    Alike are lines of a library that differ in their numbers alone, and lines of ours
    whose call names what `repeats`. A change of state names nothing: each is said.
    """

    def __init__(
        self,
        style: str,
        stream: Output,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(stream)
        self.setFormatter(Lines(style))
        self._monotonic = monotonic
        self._repetition = Repetition()

    def emit(self, record: logging.LogRecord) -> None:
        """Write it when it is due; who logs badly never fails by it."""
        try:
            due = self._due(record)
        except Exception:  # noqa: BLE001 - whatever a library's text raises
            self.handleError(record)
            return
        if due:
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Say who logs badly, without what it would have said: that was not masked."""
        error = sys.exc_info()[0]
        kind = error.__name__ if error else "no exception"
        told = {"name": record.name, "levelname": "ERROR", "levelno": logging.ERROR}
        line = f"a line of {record.filename}:{record.lineno} cannot be made: {kind}"
        said = logging.makeLogRecord({**told, "msg": line, "cause": "bad-line"})
        with suppress(Exception):  # a stream that is closed
            self.stream.write(self.format(said) + self.terminator)

    def _due(self, record: logging.LogRecord) -> bool:
        cause = _cause(record)
        if cause is not None:
            kept_back = self._repetition.due(cause, self._monotonic())
            if kept_back is None:
                return False
            if kept_back:
                record.count = kept_back
        return True


def begin_logs(style: str, level: str, stream: Output | None = None) -> None:
    """Have all that is said from now on go out as lines, ours from a level on.

    By default to standard error, through a thread: a reader that is stalled holds up
    nothing. Libraries' warnings go the same way; what they say below is no news.
    """
    root = logging.getLogger()
    if stream is None:
        stream = LineWriter(_standard_error())
        atexit.register(stream.drained)
    root.handlers = [Sink(style, stream)]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level.upper())
    logging.captureWarnings(capture=True)


def _standard_error() -> int:
    """Its descriptor; of the null device where the process was begun without one."""
    if sys.stderr is None:
        return os.open(os.devnull, os.O_WRONLY)
    return sys.stderr.fileno()


def lines_dropped() -> int:
    """How many lines of this process nobody will read; see `LineWriter`."""
    return sum(writer.dropped_count for writer in _writers())


def flush_logs() -> None:
    """Before a process ends without the interpreter's own end: nothing said is lost."""
    for writer in _writers():
        writer.drained()


def _writers() -> list[LineWriter]:
    outputs = (getattr(each, "stream", None) for each in logging.getLogger().handlers)
    return [output for output in outputs if isinstance(output, LineWriter)]


def _cause(record: logging.LogRecord) -> tuple[str, str] | None:
    named = getattr(record, _REPEATS, None)
    if named is not None:
        return record.name, str(named)
    if record.name.partition(".")[0] == _OURS:
        return None
    return record.name, _NUMBER.sub("", record.getMessage())


def _without_cards(text: str) -> str:
    return masked_text(text)[0]


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    return _without_cards(str(value))


def _json(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _console(said: dict[str, Any]) -> str:
    """The same for people: what has a name of its own comes last.

    >>> _console({"time": "t", "level": "info", "logger": "l", "event": "e", "n": 1})
    't INFO l: e n=1'

    A line is one line, whatever a text holds.

    >>> _console({"time": "t", "level": "info", "logger": "l", "event": "a\\nb"})
    't INFO l: a\\\\nb'
    """
    known = ("time", "level", "logger", "event", "traceback")
    more = "".join(f" {n}={v}" for n, v in said.items() if n not in known)
    trace = f"\n{said['traceback']}" if "traceback" in said else ""
    level = said["level"].upper()
    line = f"{said['time']} {level} {said['logger']}: {said['event']}{more}"
    return f"{_CONTROL.sub(_escaped, line)}{trace}"


def _escaped(found: re.Match[str]) -> str:
    return repr(found.group())[1:-1]
