"""A real Kafka: one broker in KRaft mode, which is its own controller, from its Maven artefacts."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tests.connectors.certificates import make_certificates

POM = Path(__file__).parent / "kafka" / "pom.xml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinwright"
USER, PASSWORD = "ann", "right"
JAVA = ("java", "-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},SSL://127.0.0.1:{tls},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
log.dirs={folder}/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=200
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
controlled.shutdown.enable=false
log.retention.check.interval.ms=500
log.initial.task.delay.ms=500
log.cleaner.backoff.ms=200
file.delete.delay.ms=0
"""


class CanNotRunError(Exception):
    """What a Kafka needs is not on this machine."""


def jars() -> Path:
    """The folder with the broker's jars, collected when first asked for, and again when the pom has changed."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        raise CanNotRunError("a Kafka needs Java and Maven")
    folder = CACHE / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one collects for all
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            line = ["mvn", "--batch-mode", "--quiet", "--file", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={part}"]
            done = subprocess.run(line, capture_output=True, text=True, timeout=280)
            if done.returncode:
                raise CanNotRunError(f"Maven did not bring the broker: {(done.stdout + done.stderr)[-500:]}")
            part.rename(folder)
    return folder


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass
class KafkaBroker:
    """A broker process on loopback ports: without security (`plain`), with a password (`sasl`), encrypted (`tls`)."""

    folder: Path
    plain: int
    sasl: int
    tls: int
    jars: Path
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, folder: Path) -> KafkaBroker:
        """Format a store of its own, with a certificate by an authority of its own (`ca.pem`). Raises CanNotRunError."""
        plain, sasl, tls, controller = free_ports(4)
        broker = cls(folder, plain, sasl, tls, jars())
        make_certificates(folder)
        certificate = folder / "server.pem"
        certificate.write_text((folder / "server.key").read_text() + certificate.read_text())
        ports = {"plain": plain, "sasl": sasl, "tls": tls, "controller": controller}
        broker._settings.write_text(PROPERTIES.format(**ports, folder=folder, user=USER, password=PASSWORD))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        broker._java("kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(broker._settings)).wait(120)
        return broker

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.plain}"

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "log").open("ab")
        return subprocess.Popen([*JAVA, "-cp", f"{self.jars}/*", *arguments], stdout=log, stderr=log, cwd=self.folder)

    def start(self) -> None:
        """Back when it can lead partitions; listening, it may still be on the way there."""
        self.process = self._java("kafka.Kafka", str(self._settings))
        client = AdminClient({"bootstrap.servers": self.servers, "log_level": 0, "reconnect.backoff.max.ms": 200})
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(KafkaException):
                if client.list_topics(timeout=2).brokers:
                    return
        raise TimeoutError(f"the broker does not answer: {(self.folder / 'log').read_text()[-2000:]}")

    def stop(self, how: int = signal.SIGKILL) -> None:
        """At once, as when the machine goes: what it took is in the kernel's hands, and there when it starts again."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None
