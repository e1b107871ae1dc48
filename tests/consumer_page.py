"""The consumers that docs/topics.md shows, each as a command that runs it."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import client_page
import toolbox
from java import compiled
from kafka_cluster import VERSION, fetched_jars

PAGE = toolbox.ROOT / "docs" / "topics.md"
DESCRIPTORS = toolbox.ROOT / "docs" / "schemas" / "scoring-v1.binpb"
PACKAGES = f"kafkajs@{toolbox.KAFKAJS}", "protobufjs@7.5.4", "libsql@0.5.29"
JARS = (
    ("org.apache.kafka", "kafka-clients", VERSION),
    ("com.google.protobuf", "protobuf-java-util", "4.33.1"),
    ("org.xerial", "sqlite-jdbc", "3.51.1.0"),
    ("org.eclipse.jdt", "ecj", "3.37.0"),  # compiles without a JDK
)


def shown(name: str) -> str:
    """A file of the page."""
    block = rf"<!-- file: {re.escape(name)} -->\n```[a-z]+\n(.*?)^```$"
    found = re.search(block, PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"{PAGE.name} shows no {name}"
    return found[1]


def written(name: str) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="scoring-consumer-"))
    (directory / name).write_text(shown(name))
    return directory / name


def python() -> tuple[str, ...]:
    return sys.executable, str(written("outcomes.py"))


def node() -> tuple[str, ...]:
    def fetch(into: Path) -> None:
        toolbox.command(
            "npm", "install", "--silent", "--prefix", into, *PACKAGES, cwd=into
        )

    home = toolbox.kept("consumers-" + "-".join(PACKAGES).replace("@", "-"), fetch)
    program = written("outcomes.mjs")
    (program.parent / "node_modules").symlink_to(home / "node_modules")
    return "node", str(program)


def java() -> tuple[str, ...]:
    """With the messages' classes that the client of the page beside it was built of."""
    jars = fetched_jars("consumers", JARS, version="1")
    classes = client_page.built("java") / "target" / "classes"
    program = written("Outcomes.java")
    listed = [*map(str, jars.iterdir()), str(classes)]
    compiled(program, listed, program.parent)
    return "java", "-cp", ":".join([str(program.parent), *listed]), "Outcomes"


COMMANDS = {"java": java, "node": node, "python": python}
# What tells each of them the messages.
SCHEMAS = {
    "java": (),
    "node": (str(client_page.PROTOS),),
    "python": (str(DESCRIPTORS),),
}
