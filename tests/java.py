"""Small Java programs for the tests, on Kafka's own client: compiled once a session."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from kafka_cluster import VERSION, fetched_jars

HERE = Path(__file__).parent / "foreign"
PROTOBUF_JAVA = "4.33.1"
JARS = (
    ("org.apache.kafka", "kafka-clients", VERSION),
    ("com.google.protobuf", "protobuf-java", PROTOBUF_JAVA),
    ("com.google.protobuf", "protobuf-java-util", PROTOBUF_JAVA),
    ("org.eclipse.jdt", "ecj", "3.37.0"),  # compiles without a JDK
)
_COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"


def compiled(source: Path, classpath: Iterable[str], into: Path) -> None:
    """Compile one file; the compiler's own jar is in the classpath, too."""
    listed = ":".join(classpath)
    done = subprocess.run(
        ["java", "-cp", listed, _COMPILER, "-17", "-cp", listed, "-d", str(into),
         str(source)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@functools.cache
def java_program(source: str) -> tuple[str, ...]:
    """The command of a program under tests/foreign, "readers/DecisionReader.java"."""
    jars = fetched_jars("readers", JARS, version="1")
    classes = Path(tempfile.mkdtemp(prefix="scoring-classes-"))
    compiled(HERE / source, map(str, jars.iterdir()), classes)
    return ("java", "-cp", f"{classes}:{jars}/*", Path(source).stem)
