"""What the image holds, how large it is, and how little else it carries."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from contacts import contacts, watched
from image import DOCKERFILE, Image, instructions
from image_tour import Tour, settings_of, take
from test_docs import READ, command_line

from scoring.settings import Settings

# The tour runs some ninety commands, each a process of its own.
pytestmark = pytest.mark.timeout(900)

DEVELOPMENT_ONLY = {"pytest", "hypothesis", "mypy", "grpc_tools", "sklearn"}


def python(image: Image, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [image.within("/app/.venv/bin/python"), "-c", words],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def test_every_part_of_the_package_imports_in_the_image(image):
    words = """
import importlib, pkgutil, scoring
for found in pkgutil.walk_packages(scoring.__path__, "scoring."):
    if found.name.endswith(".migrations.env"):
        continue  # run by Alembic, within a migration
    try:
        importlib.import_module(found.name)
    except ImportError as error:
        print(found.name, error)
"""
    done = python(image, words)
    assert done.returncode == 0, done.stderr
    # The demo's own store and broker are wheels for a laptop, not for a cluster.
    without = {line.split()[0] for line in done.stdout.splitlines()}
    assert {
        name for name in without if not name.startswith("scoring.embedded")
    } == set()


@pytest.mark.parametrize("package", sorted(DEVELOPMENT_ONLY))
def test_the_image_holds_nothing_for_development(image, package):
    assert python(image, f"import {package}").returncode != 0


def test_the_image_is_as_large_as_the_guide_says(image):
    files = [path for path in image.within("/app").rglob("*") if not path.is_symlink()]
    held_mb = sum(path.stat().st_size for path in files) / 1e6
    guide = (DOCKERFILE.parent / "docs" / "guide-sre.md").read_text()
    (said_mb,) = re.findall(r"adds some (\d+) MB\s+to its base", guide)
    assert int(said_mb) == pytest.approx(held_mb, rel=0.1)


def test_the_image_carries_the_shipped_definitions(image):
    words = (
        "from scoring.core.features.catalogue import default_catalogue as c;"
        "from scoring.core.policy.shipped_policy import default_policy as p;"
        "print(p(c()).version)"
    )
    done = python(image, words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_image_never_runs_as_root():
    assert [words for name, words in instructions() if name == "USER"] == [
        "10001:10001"
    ]


def test_the_image_sets_nothing_that_is_no_setting(image):
    known = {f"SCORING_{name.upper()}" for name in Settings.model_fields}
    others = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    reports_off = {"ORT_DISABLE_TELEMETRY": "1"}
    assert set(image.environment) <= known | others | reports_off.keys()
    assert reports_off.items() <= image.environment.items()


def test_what_is_copied_is_let_into_the_build():
    let_in = {
        line.removeprefix("!")
        for line in (DOCKERFILE.parent / ".dockerignore").read_text().splitlines()
    }
    copied = [words.split() for name, words in instructions() if name == "COPY"]
    sources = {s for words in copied if words[0][:2] != "--" for s in words[:-1]}
    assert sources <= let_in
    assert all((Path(DOCKERFILE.parent) / source).exists() for source in sources)


@pytest.fixture(scope="module")
def tour(image, store_url, embedded_bootstrap, tmp_path_factory):
    """What came of every command of the guides, run in the image."""
    directory = tmp_path_factory.mktemp("tour")
    settings = settings_of(store_url, embedded_bootstrap, directory, "image-tour")
    told = {store_url.split("//")[1].split("/")[0], embedded_bootstrap}
    tour = Tour(image, directory, settings, told)
    take(tour)
    return tour


def test_a_store_that_is_lost_is_rebuilt_in_the_image_and_nothing_is_different(tour):
    assert "0 differ" in tour.said["audit"]


def command_of(line: str) -> str:
    """The words of a line that name its command, such as "topics check"."""
    found, named = command_line(), []
    for word in line.split():
        found = getattr(found, "commands", {}).get(word)
        if found is None:
            break
        named.append(word)
    return " ".join(named)


def test_every_command_of_the_guides_was_tried_in_the_image(tour):
    named = {
        command_of(line)
        for page in READ
        for line in re.findall(
            r"(?:^\$? ?|`|= ?\d+ )scoring ([a-z][^`\n#]*)",
            page.read_text(),
            re.MULTILINE,
        )
    }
    elsewhere = {
        # These bring a store and a broker of their own, which are not in the image.
        *("demo", "dev"),
        "evaluate",  # a group, named as such
        "evaluate handbook",  # needs the Handbook's data
    }
    assert named - {command_of(line) for line in tour.tried} <= elsewhere


def test_whatever_runs_contacts_only_whom_it_was_told_of_and_itself(tour):
    children = {at for at in tour.contacted if at.startswith("127.0.0.1:")}
    assert tour.contacted - children == set()
    assert tour.told <= children  # the guard has heard


def test_whatever_runs_leaves_nothing_in_the_home_of_its_user(tour):
    assert list(tour.home.rglob("*")) == []


@pytest.mark.parametrize(
    "asks",
    [
        "import socket; socket.getaddrinfo('reports.example.org', 443)",
        "import ctypes; ctypes.CDLL(None).gethostbyname(b'reports.example.org')",
        "import os; os.system('getent hosts reports.example.org')",
    ],
)
def test_the_guard_hears_a_name_asked_for_by_any_library_or_child(asks, tmp_path):
    log = tmp_path / "log"
    subprocess.run(watched([sys.executable, "-c", asks], log), check=False)
    assert "?reports.example.org" in contacts(log)
