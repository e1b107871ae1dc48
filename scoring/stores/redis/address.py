"""Where the store is: one server, one that sentinels name, or a cluster."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from scoring.core.url import split_url
from scoring.errors import BadArtifact, StoreUnavailable
from scoring.stores.redis.cluster import ClusterConnection, Place
from scoring.stores.redis.connection import Link, RedisConnection

TIMEOUT_S_DEFAULT = 5.0
_SETTING = "SCORING_REDIS_URL"
_SCHEMES = {"redis", "rediss", "unix"}
_PORT, _SENTINEL_PORT = 6379, 26379
# Of a password, of what its user may do, and of a database that is not there.
_REFUSALS = ("NOAUTH", "WRONGPASS", "NOPERM", "DB index", "invalid DB index")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """How the store is reached.

    `url` holds the scheme (rediss: TLS), user, password and database. Its host is
    the server's; of a `cluster`, one or several of its servers, comma separated;
    with `sentinels` (host:port, comma separated), the name under which those watch
    the primary. The sentinels' own user and password are theirs alone.
    """

    url: str = field(repr=False)
    cluster: bool = False
    sentinels: str = ""
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)

    async def connected(self) -> Link:
        """An open link; raises `BadArtifact`, `StoreUnavailable`."""
        link = self.link()
        try:
            await opened(link)
        except BaseException:
            await link.close()
            raise
        return link

    def link(self) -> Link:
        """The way there, not open yet; raises `BadArtifact`."""
        if split_url(self.url, setting=_SETTING).scheme not in _SCHEMES:
            raise BadArtifact(
                f"{_SETTING}: must begin with redis://, rediss:// or unix://"
            )
        if self.cluster and self.sentinels:
            raise BadArtifact(
                "SCORING_REDIS_SENTINELS: a Redis Cluster has none; leave it out, or "
                "SCORING_REDIS_CLUSTER"
            )
        if self.cluster:
            seeds = _places("SCORING_REDIS_URL", self._hosts(), _PORT)
            host, port = seeds[0]
            url = self._at(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
            return ClusterConnection(_client(url, retry=_never()), seeds)
        if self.sentinels:
            return RedisConnection(self._watched())
        return RedisConnection(_client(self.url))

    def _hosts(self) -> str:
        return split_url(self.url, setting=_SETTING).netloc.rpartition("@")[2]

    def _at(self, host: str) -> str:
        """The URL with another host."""
        parts = split_url(self.url, setting=_SETTING)
        if parts.path not in {"", "/", "/0"}:
            raise BadArtifact(
                "SCORING_REDIS_URL: a Redis Cluster has one database; leave out the "
                "number at the end"
            )
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}{host}").geturl()

    def _watched(self) -> Redis:
        """A client of whichever server the sentinels say is the primary."""
        plain = _client(self.url, retry=_never())
        pool: Any = plain.connection_pool  # carries no types
        told = dict(pool.connection_kwargs)
        service = str(told.pop("host", ""))
        told.pop("port", None)
        if not service:
            raise BadArtifact(
                "SCORING_REDIS_URL: with SCORING_REDIS_SENTINELS its host is the name "
                "of the primary that they watch, such as redis://mymaster/0"
            )
        tls = {k: v for k, v in told.items() if k.startswith("ssl")}
        secure = self.url.startswith("rediss://")
        watching: Any = Sentinel  # carries no types
        sentinel = watching(
            _places("SCORING_REDIS_SENTINELS", self.sentinels, _SENTINEL_PORT),
            sentinel_kwargs={
                **tls,
                "ssl": secure,
                "username": self.sentinel_username or None,
                "password": self.sentinel_password or None,
                "socket_connect_timeout": 1.0,
                "socket_timeout": 1.0,
                "retry": _never(),
            },
        )
        client: Redis = sentinel.master_for(service, **told, ssl=secure)
        return client


async def opened(link: Link) -> None:
    """Open a link; raises `StoreUnavailable`, `BadArtifact` for who is not let in."""
    try:
        async with asyncio.timeout(TIMEOUT_S_DEFAULT):
            await link.connect()
    except TimeoutError as error:
        late = f"no store answers within {TIMEOUT_S_DEFAULT:g} s; see {_SETTING}"
        raise StoreUnavailable(late) from error
    except MasterNotFoundError as error:
        if "AuthenticationError" in str(error):
            raise BadArtifact(
                "SCORING_REDIS_SENTINEL_PASSWORD: the sentinels refuse it"
            ) from error
        raise StoreUnavailable(
            "no sentinel answers that knows the primary by the name in "
            "SCORING_REDIS_URL; see SCORING_REDIS_SENTINELS"
        ) from error
    except (OSError, RedisError) as error:
        if is_refusal(error):
            raise refusal(error) from error
        said = str(error).rstrip(".")
        raise StoreUnavailable(f"no store answers: {said}; see {_SETTING}") from error


def is_refusal(error: object) -> bool:
    """Whether a server says that our settings are wrong, and not that it is unwell."""
    said = str(error)
    return isinstance(error, AuthenticationError) or said.startswith(_REFUSALS)


def refusal(error: object) -> BadArtifact:
    """What the settings have to do with what the server said."""
    return BadArtifact(
        f"SCORING_REDIS_URL: the store refuses its user, password or database: {error}"
    )


def _never() -> Retry:
    """Who connects here tries again by itself, and asks first where to."""
    return Retry(NoBackoff(), 0)


def _client(url: str, **options: Any) -> Redis:
    try:
        return Redis.from_url(url, socket_connect_timeout=TIMEOUT_S_DEFAULT, **options)
    except ValueError as error:
        # Never the URL itself: it may hold a password.
        raise BadArtifact(
            f"{_SETTING}: its port or one of its parameters is not right"
        ) from error


def _places(setting: str, text: str, port: int) -> list[Place]:
    """Servers as they are written, host:port, comma separated.

    >>> _places("X", "a:7000, b", 6379)
    [('a', 7000), ('b', 6379)]
    """
    found = []
    for part in text.split(","):
        host, _, told = part.strip().rpartition(":")
        host, told = (host, told) if host else (told, str(port))
        if not host or not told.isdigit():
            raise BadArtifact(f"{setting}: write host:port, comma separated")
        found.append((host.strip("[]"), int(told)))
    return found
