"""Who is logged in: a session holds a person's token, so that no page does."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock

SESSIONS_MAX = 1_000
IDLE_S = 3_600.0
LIFE_S = 12 * 3_600.0
_ID_BYTES = 32


@dataclass(slots=True)
class LoginSession:
    """A person's token; `notice` is what the next page says, once."""

    token: str = field(repr=False)
    begun_s: float
    seen_s: float
    notice: str = ""


@dataclass(slots=True)
class Sessions:
    """Sessions in memory: they end with the process, an hour unused, or in half a day.

    An id is of 256 bits of chance and made at the login, never taken from a browser.
    Of more than a thousand, the one that was unused longest ends.

    >>> at = [0.0]
    >>> sessions = Sessions(lambda: at[0])
    >>> one = sessions.begin("a token")
    >>> sessions.of(one).token
    'a token'
    >>> at[0] = IDLE_S + 1
    >>> sessions.of(one) is None
    True
    """

    monotonic: Callable[[], float]
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(_ID_BYTES))
    _held: dict[str, LoginSession] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def begin(self, token: str) -> str:
        """A new session's id."""
        now_s, session_id = self.monotonic(), self.stranger()
        with self._lock:
            while len(self._held) >= SESSIONS_MAX:
                # The longest unused: each use moves a session to the end.
                del self._held[next(iter(self._held))]
            self._held[session_id] = LoginSession(token, now_s, now_s)
        return session_id

    def of(self, session_id: str) -> LoginSession | None:
        """The session of an id, which is used by this; None where there is none."""
        now_s = self.monotonic()
        with self._lock:
            session = self._held.pop(session_id, None)
            if session is None or not _lives(session, now_s):
                return None
            session.seen_s = now_s
            self._held[session_id] = session
            return session

    def end(self, session_id: str) -> None:
        """End one."""
        with self._lock:
            self._held.pop(session_id, None)

    @staticmethod
    def stranger() -> str:
        """An id for a browser that is not logged in."""
        return secrets.token_urlsafe(_ID_BYTES)

    def form_token(self, session_id: str) -> str:
        """What each form of a browser carries, so that no other site can send one."""
        return hmac.new(self._key, session_id.encode(), sha256).hexdigest()

    def is_form_token(self, session_id: str, sent: str) -> bool:
        """Whether a form is of a page that we gave to this browser."""
        known = self.form_token(session_id)
        return bool(session_id) and hmac.compare_digest(
            known.encode(), sent.encode(errors="replace")
        )


def _lives(session: LoginSession, now_s: float) -> bool:
    return now_s - session.seen_s < IDLE_S and now_s - session.begun_s < LIFE_S
