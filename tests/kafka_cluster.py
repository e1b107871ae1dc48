"""A real Apache Kafka (KRaft) for the tests: jars by Maven, one node on loopback."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from certificates import Authority
from gates import Gate

from scoring.embedded.child import LOOPBACK, Child, accepts, free_port

VERSION = "4.1.0"
READY_S = 180.0  # 3 s alone; a JVM on a busy machine takes its time
CACHE = Path.home() / ".cache" / "scoring"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>scoring.tests</groupId>
  <artifactId>{name}</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""
DEPENDENCY = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId>"
    "<version>{}</version></dependency>"
)
BROKER = ("org.apache.kafka", "kafka_2.13", VERSION)
# One node is broker and controller; one partition for each inner topic starts in
# seconds; no delay before the first rebalance; short sessions for the drills.
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}{more}
advertised.listeners=PLAINTEXT://{host}:{port}{advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={logs}
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
log.cleaner.enable=false
log.segment.bytes=67108864
"""


# A listener that asks for a certificate, and one that asks for a password over TLS.
SECURED = """
ssl.keystore.type=PEM
ssl.keystore.location={keys}
ssl.truststore.type=PEM
ssl.truststore.location={root}
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.password.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_risk="{password}";
listener.name.password.scram-sha-256.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
PASSWORD = "not 4 the public"  # noqa: S105 - of a node that lives for a test


@dataclass(frozen=True, slots=True)
class Secured:
    """What a node has more when its clients must prove who they are."""

    addresses: dict[str, str] = field(default_factory=dict)
    listeners: str = ""
    advertised: str = ""
    protocols: str = ""
    properties: str = ""
    users: tuple[str, ...] = ()

    @classmethod
    def by(cls, authority: Authority) -> Secured:
        leaf = authority.leaf("broker", san=f"IP:{LOOPBACK}")
        keys = authority.directory / "broker.pem"
        keys.write_text(leaf.key.read_text() + leaf.cert.read_text())
        addresses = {
            name: f"{LOOPBACK}:{free_port()}" for name in ("MUTUAL", "PASSWORD")
        }
        listeners = "".join(f",{name}://{place}" for name, place in addresses.items())
        return cls(
            addresses,
            listeners,
            listeners,
            ",MUTUAL:SSL,PASSWORD:SASL_SSL",
            SECURED.format(keys=keys, root=authority.root, password=PASSWORD),
            ("--add-scram", f"SCRAM-SHA-256=[name=risk,password={PASSWORD}]"),
        )

    @classmethod
    def behind(cls, gate: Gate) -> Secured:
        """Clients that come through the gate are led through it again."""
        return cls(
            listeners=f",GATED://{LOOPBACK}:{gate.to_port}",
            advertised=f",GATED://{gate.address}",
            protocols=",GATED:PLAINTEXT",
        )


def why_not() -> str:
    """What is missing to run Apache Kafka here; empty when nothing is."""
    if not shutil.which("java"):
        return "no Java here: the tests on a real Apache Kafka need Java 17"
    if not jars_directory().is_dir() and not shutil.which("mvn"):
        return "no Maven here: it fetches Apache Kafka's jars"
    return ""


def jars_directory(name: str = "kafka", version: str = VERSION) -> Path:
    """Where the jars are cached between runs."""
    return CACHE / f"{name}-{version}"


def fetched_jars(
    name: str = "kafka",
    dependencies: Sequence[tuple[str, str, str]] = (BROKER,),
    *,
    version: str = VERSION,
) -> Path:
    """Return a directory with these artifacts and all they need, from Maven once."""
    directory = jars_directory(name, version)
    if directory.is_dir():
        return directory
    CACHE.mkdir(parents=True, exist_ok=True)
    project = CACHE / f".{name}-{version}.{free_port()}"
    project.mkdir()
    listed = "".join(DEPENDENCY.format(*dependency) for dependency in dependencies)
    (project / "pom.xml").write_text(POM.format(name=name, dependencies=listed))
    subprocess.run(
        ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime",
         f"-DoutputDirectory={project / 'jars'}"],
        cwd=project, check=True, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if not directory.exists():  # another run may have been faster
        (project / "jars").rename(directory)
    shutil.rmtree(project, ignore_errors=True)
    return directory


@dataclass(slots=True)
class KafkaCluster:
    """One node that can be stopped, killed, paused and started again in place."""

    child: Child
    secure: dict[str, str] = field(default_factory=dict)  # address by listener's name

    @property
    def bootstrap(self) -> str:
        return self.child.address

    @classmethod
    def in_directory(
        cls,
        directory: Path,
        authority: Authority | None = None,
        gate: Gate | None = None,
        *,
        more: str = "",
    ) -> KafkaCluster:
        secured = Secured.by(authority) if authority else Secured()
        if gate is not None:
            secured = Secured.behind(gate)
        classpath = f"{fetched_jars()}/*"
        properties = directory / "server.properties"
        controller_port = free_port()
        java = shutil.which("java")
        assert java

        def command(port: int) -> list[str]:
            properties.write_text(
                PROPERTIES.format(
                    host=LOOPBACK,
                    port=port,
                    controller_port=controller_port,
                    logs=directory / "logs",
                    more=secured.listeners,
                    advertised=secured.advertised,
                    protocols=secured.protocols,
                )
                + secured.properties
                + more
            )
            if not (directory / "logs").exists():
                formatted(java, classpath, properties, *secured.users)
            return [
                *(java, "-Xms256m", "-Xmx768m"),
                # Quick to start: it lives too briefly to earn a better compiler.
                *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath),
                *("kafka.Kafka", str(properties)),
            ]

        log_file = directory / "kafka.log"
        return cls(
            Child(command, accepts, log_file, ready_s=READY_S), secured.addresses
        )

    def start(self) -> None:
        self.child.start()

    def stop(self, *, kill: bool = False) -> None:
        self.child.stop(kill=kill)


def formatted(java: str, classpath: str, properties: Path, *users: str) -> None:
    subprocess.run(
        [java, "-cp", classpath, "kafka.tools.StorageTool", "format",
         "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", str(properties), *users],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


@contextmanager
def kafka_cluster(
    directory: Path,
    authority: Authority | None = None,
    gate: Gate | None = None,
    *,
    more: str = "",
) -> Iterator[KafkaCluster]:
    """A running node; with an authority it has the listeners of `Secured`, too, and
    with a gate one behind it.

    `more` are properties that override those above.
    """
    cluster = KafkaCluster.in_directory(directory, authority, gate, more=more)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


if __name__ == "__main__":  # fetch the jars ahead: python -m tests.kafka_cluster
    print(fetched_jars())
