"""URLs that hold a password: used, and never printed."""

from urllib.parse import quote

import pytest

from scoring.core.url import scrubbed, shown, split_url
from scoring.errors import BadArtifact, ScoringError, Unavailable
from scoring.kafka.schema_registry import SchemaRegistry
from scoring.kafka.topic_names import Topics
from scoring.models.remote_registry import RemoteModelRegistry
from scoring.stores.redis.address import StoreAddress

# Each mark may end the host's part of a URL, or the URL, where it is not escaped.
MARKS = [
    "/",
    "#",
    "?",
    "[",
    "]",
    "//",
    "/@",
    "?a=b",
    "%",
    ":",
    "\\",
    "@",
    " ",
    "\uff0f",
]
USERS = [":", "me:", "7777:", ""]
PASSWORDS = [f"s3cr{mark}66et{rest}" for mark in MARKS for rest in ("", "99")]
SECRETS = ("s3cr", "66et", "7777")


async def store(user_and_password, _directory):
    await StoreAddress(f"redis://{user_and_password}@127.0.0.1:1/0").connected()


async def cluster(user_and_password, _directory):
    url = f"redis://{user_and_password}@127.0.0.1:1"
    await StoreAddress(url, cluster=True).connected()


async def watched(user_and_password, _directory):
    url = f"redis://{user_and_password}@mymaster/0"
    await StoreAddress(url, sentinels="127.0.0.1:1").connected()


async def registry(user_and_password, _directory):
    url = f"http://{user_and_password}@127.0.0.1:1"
    SchemaRegistry(url).frames(Topics(""), content_type="application/json")


async def models(user_and_password, directory):
    url = f"ftp://{user_and_password}@127.0.0.1:1/models"
    RemoteModelRegistry.at(url, directory).promoted()


@pytest.mark.parametrize("connect", [store, cluster, watched, registry, models])
@pytest.mark.parametrize("user", USERS)
async def test_no_part_of_a_password_is_said_whatever_it_holds(connect, user, tmp_path):
    for password in PASSWORDS:
        with pytest.raises(ScoringError) as refused:
            await connect(f"{user}{password}", tmp_path)
        said = str(refused.value)
        assert not [secret for secret in SECRETS if secret in said], (password, said)


@pytest.mark.parametrize("connect", [store, cluster, watched, registry, models])
async def test_an_escaped_password_is_taken_as_it_is_meant(connect, tmp_path):
    for password in PASSWORDS:
        with pytest.raises(Unavailable):  # nobody listens there
            await connect(f"me:{quote(password, safe='')}", tmp_path)


def test_what_a_driver_says_is_repeated_without_the_secrets():
    url = "ftp://me:s%2Fcret@host/models?token=also"
    said = f"530 login of me with s/cret at {url} failed, s%2Fcret, ?token=also"
    told = scrubbed(said, url)
    assert "cret" not in told
    assert "also" not in told
    assert shown(url) in told


def test_an_at_in_a_path_without_a_host_is_a_file_name():
    assert split_url("unix:///run/store@1.sock", setting="X").path
    with pytest.raises(BadArtifact, match="X: holds an @ beyond its host"):
        split_url("unix://:a/b@/run/store.sock", setting="X")
