"""What is written of a Kafka cluster and of what contracts take from it, and the client's configuration from that."""

from __future__ import annotations

import os
import re
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from twinwright.clock import SECOND
from twinwright.connectors.partitions import CAPTURE
from twinwright.connectors.settings import TlsSettings
from twinwright.documents import Duration, Spec
from twinwright.errors import UsageError

CLIENT: Final = "twinwright"
"""What our clients call themselves."""
_METADATA_MS: Final = 60_000  # a topic that comes to match a template is found within this
_FULL_MS: Final = 20  # by itself it would ask no more for a second when the buffer was full, which we empty in a fraction of that
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")  # what a broker takes for the name of a topic


def topic_name(value: str) -> str:
    """A pydantic validator: the name of one topic."""
    if not _TOPIC.fullmatch(value):
        raise ValueError("a topic has 1 to 249 letters, digits, '.', '_' and '-'")
    return value


class SaslSettings(Spec):
    """Who we are to the broker. `password_env` names the environment variable that holds the password."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("SCRAM-SHA-512", description="how the password is shown to it")
    username: str = Field(min_length=1, description="the user's name")
    password_env: str = Field(min_length=1, description="the environment variable with the password")


class ClusterSettings(Spec):
    """How to reach a cluster."""

    bootstrap_servers: str = Field(min_length=1, description="host:port of some of its brokers, with commas between them")
    sasl: SaslSettings | None = Field(None, description="without it: no authentication by password")
    tls: TlsSettings | None = Field(None, description="without it: not encrypted")
    connect_timeout: Duration = Field(10 * SECOND, ge=100_000, description="how long to wait for the cluster's answer")

    @property
    def where(self) -> str:
        """The cluster's name in errors."""
        return f"kafka://{self.bootstrap_servers}"

    @property
    def password_in_clear(self) -> bool:
        """Whether the password itself goes over a connection that others can read."""
        return self.tls is None and self.sasl is not None and self.sasl.mechanism == "PLAIN"


class KafkaSettings(ClusterSettings):
    """A cluster, and the consumer group that we are a member of."""

    group: str = Field(min_length=1, max_length=249, description="members of one group share the partitions, and have to share one store")
    instance: str | None = Field(
        None, min_length=1, max_length=249, description="makes a static member, which has its partitions back at once"
    )
    session_timeout: Duration = Field(15 * SECOND, ge=100_000, description="unheard of for so long, a member loses its partitions")
    max_poll_interval: Duration = Field(300 * SECOND, ge=SECOND, description="a delivery that takes longer loses its partitions")
    batch: int = Field(50_000, ge=1, le=1_000_000, description="records in one delivery")
    linger: Duration = Field(5_000, description="how long a delivery waits for more of them")
    buffer_kbytes: int = Field(64 * 1024, ge=1, le=2_097_151, description="records fetched ahead, in KiB")

    @model_validator(mode="after")
    def _poll_covers_session(self) -> KafkaSettings:
        if self.max_poll_interval < self.session_timeout:
            raise ValueError("`max_poll_interval` is shorter than `session_timeout`: no broker takes that")
        return self


class KafkaBinding(Spec):
    """What a contract takes: the captures of `topic` and `key` go with each payload."""

    topic: str = Field(description="a topic, or a template such as plant.{area}.telemetry; a capture ends at a dot")
    key: str | None = Field(None, min_length=1, description="a template of the record's key, such as {twin} or pump-{unit}")
    start: Literal["earliest", "latest"] = Field("earliest", description="where to begin in a partition that the store has no position of")

    @field_validator("topic")
    @classmethod
    def _names_topics(cls, value: str) -> str:
        if not _TOPIC.fullmatch(CAPTURE.sub("x", value)):
            raise ValueError("a topic has 1 to 249 letters, digits, '.', '_' and '-', and captures as {name}")
        return value

    @field_validator("key")
    @classmethod
    def _is_template(cls, value: str | None) -> str | None:
        if value is not None and re.search(r"[{}]", CAPTURE.sub("", value)):
            raise ValueError("a brace that is not a capture: write captures as {name}")
        return value

    @model_validator(mode="after")
    def _captures_once(self) -> KafkaBinding:
        names = CAPTURE.findall(self.topic) + CAPTURE.findall(self.key or "")
        if len(set(names)) < len(names):
            raise ValueError("a capture is given twice: give each a name of its own")
        return self


def client_config(settings: ClusterSettings) -> dict[str, Any]:
    """How to reach the cluster. Raises UsageError where the password's variable is not set."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": CLIENT,
        "socket.connection.setup.timeout.ms": max(1_000, settings.connect_timeout // 1_000),
        "topic.metadata.refresh.interval.ms": _METADATA_MS,
        "reconnect.backoff.max.ms": 1_000,
        "log_level": 0,  # it would write to standard error; what matters comes to `error_cb`
        "security.protocol": ("SASL_" if settings.sasl else "") + ("SSL" if settings.tls else "PLAINTEXT"),
    }
    if settings.tls is not None:
        files = {"ca": settings.tls.ca, "certificate": settings.tls.certificate, "key": settings.tls.key}
        config |= {f"ssl.{name}.location": path for name, path in files.items() if path is not None}
    if settings.sasl is not None:
        config |= {"sasl.mechanism": settings.sasl.mechanism, "sasl.username": settings.sasl.username}
        config["sasl.password"] = _password(settings.sasl.password_env, settings.where)
    return config


def member_config(settings: KafkaSettings) -> dict[str, Any]:
    """How to be a member of the group."""
    return {
        "group.id": settings.group,
        **({"group.instance.id": settings.instance} if settings.instance else {}),
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # an offset that is not there is for us to judge, when the partition is assigned again
        "partition.assignment.strategy": "cooperative-sticky",  # a rebalance moves only what has to move
        "session.timeout.ms": settings.session_timeout // 1_000,
        "heartbeat.interval.ms": settings.session_timeout // 5_000,
        "max.poll.interval.ms": settings.max_poll_interval // 1_000,
        "queued.max.messages.kbytes": settings.buffer_kbytes,
        "fetch.queue.backoff.ms": _FULL_MS,
    }


def _password(name: str, where: str) -> str:
    if name not in os.environ:
        raise UsageError(f"the environment variable {name} is not set", where=where, remedy="Set it to the broker's password")
    return os.environ[name]
