"""What the Kafka clients log: each cause once a minute, however often it comes."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from scoring.core.repetition import Repetition

_NUMBER = re.compile(r"\d+")
# Faust brings its own client along, and says what it makes of the client's silence.
_CLIENTS = ("aiokafka", "faust", "mode", "kafka")


@dataclass(slots=True, eq=False)
class Heard:
    """What a client said while somebody listened, instead of to the log."""

    lines: list[str] = field(default_factory=list)
    listening: bool = True


# Tasks that a client begins meanwhile inherit it: hence `listening`.
_HEARD: ContextVar[Heard | None] = ContextVar("heard", default=None)


class ClientLines(logging.Handler):
    """Passes a line on, unless its like was passed on within the last minute.

    Two lines are alike when only their numbers differ: which node, which port.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._repetition = Repetition()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it to who listens, else to the root's handlers, when it is due."""
        heard = _HEARD.get()
        if heard is not None and heard.listening:
            if record.levelno >= logging.ERROR:
                heard.lines.append(record.getMessage())
            return
        said = record.getMessage()
        cause = (record.name, _NUMBER.sub("", said))
        kept_back = self._repetition.due(cause, self._monotonic())
        if kept_back is None:
            return
        more = f" ({kept_back:,} more of these since)" if kept_back else ""
        record.msg, record.args = said + more, None
        logging.getLogger().callHandlers(record)


def spare_the_log() -> None:
    """Have the clients' lines go through one `ClientLines`; again changes nothing."""
    # Mode gives the module of each of its services a handler that says nothing: what
    # our own have to say would not reach the last resort, standard error.
    logging.basicConfig(format="%(message)s")
    for name in _CLIENTS:
        logger = logging.getLogger(name)
        if not any(isinstance(h, ClientLines) for h in logger.handlers):
            logger.handlers = [ClientLines()]
            logger.propagate = False


@contextmanager
def listening() -> Iterator[Heard]:
    """What the clients that are used in the block say goes into `Heard` alone."""
    spare_the_log()
    heard = Heard()
    token = _HEARD.set(heard)
    try:
        yield heard
    finally:
        heard.listening = False
        _HEARD.reset(token)
