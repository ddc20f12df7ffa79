"""`twinwright.toml`: what the platform is told beside schema, twins and contracts. The environment goes over the file.

`TWINWRIGHT_API__PORT=9000` sets `port` in `[api]`. Secrets have no place in the file: `TWINWRIGHT_TOKEN` sets the admin's token,
`TWINWRIGHT_STORE__DSN` the address of a database with its password, and connectors name the environment variable that holds theirs.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from twinwright.documents import MAX_BYTES, Document, Location, Problems, Spec
from twinwright.errors import Problem, TwinwrightError, WorkspaceError
from twinwright.events.settings import WebhookSettings
from twinwright.storage.layout import Lane
from twinwright.storage.registry import Engine, find_engine
from twinwright.telemetry.quality_spec import positive_duration
from twinwright.workspace.reconciling import ReconcileSettings
from twinwright.workspace.retention import HistoryRetention

_TABLE = re.compile(r"^\s*\[\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+|\"[^\"]+\")\s*=")
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@|\bpassword\s*=\s*\S", re.IGNORECASE)
_PREFIX = "TWINWRIGHT_"
SECTIONS = ("store", "api", "retention", "simulation")


class _OpenSettings(Spec):
    """What is in it beside its fields, `options`, belongs to the engine or type that it names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the fields."""
        return dict(self.model_extra or {})


class PluginSettings(_OpenSettings):
    """A part of the platform that comes by an entry point."""

    type: str


class StoreSettings(_OpenSettings):
    """Where history is kept. What else is in it belongs to the engine."""

    engine: str = Field(default="duckdb", description="`duckdb`: a file in the workspace; `postgres`: a PostgreSQL database")


class ApiSettings(Spec):
    """What `up` serves."""

    host: str = Field(default="127.0.0.1", description="loopback unless told otherwise; anything else needs TLS")
    port: int = Field(default=8420, ge=0, le=65_535, description="0 takes a free one")
    grpc_port: int | None = Field(
        default=None, ge=0, le=65_535, description="serve gRPC too, on this port; 0 takes a free one; off unless given"
    )
    allowed_hosts: list[str] = Field(default_factory=list, description="further names by which browsers may call this host")
    console: bool = Field(default=True, description="serve the web console under /console")
    tls_certificate: str | None = Field(default=None, description="PEM file of the certificate chain")
    tls_key: str | None = Field(default=None, description="PEM file of the private key")


class RetentionSettings(Spec):
    """How long is kept what nobody needs for ever."""

    dead_letters: str | None = Field(default=None, description="payloads of dead letters; for ever unless given")
    webhook_letters: str | None = Field(default=None, description="events that a webhook has given up; for ever unless given")

    known_at: str = Field(default="P90D", description="how far back it can be asked what was known then")
    history: dict[str, HistoryRetention] = Field(
        default_factory=dict, description="values, by `*`, interface, path or `INTERFACE PATH`; for ever where no rule holds"
    )

    _check = field_validator("dead_letters", "webhook_letters", "known_at", mode="before")(positive_duration)


class SimulationSettings(Spec):
    """How runs are executed."""

    queue: int = Field(default=100, ge=1, le=10_000, description="how many submitted requests for runs may wait")
    executor: str | None = Field(
        default=None,
        description="where runs are executed unless told otherwise: `dask://127.0.0.1:8786`, `tls://HOST:8786`; here by default",
    )
    dask_ca: str | None = Field(default=None, description="PEM file of the authority that signed the scheduler's certificate")
    dask_certificate: str | None = Field(default=None, description="PEM file of the platform's certificate for `tls://`")
    dask_key: str | None = Field(default=None, description="PEM file of its private key")


class ConnectorSettings(PluginSettings):
    """One `[connectors.NAME]`. What else is in it belongs to the connector's type."""

    type: str = Field(description="the connector: host, mqtt, files ...")


class SinkSettings(PluginSettings):
    """One `[sinks.NAME]`: where changes of twins go. What else is in it belongs to the sink's type."""

    type: str = Field(description="the sink: kafka ...")
    lanes: list[Lane] = Field(default=["observed", "derived"], min_length=1, description="whose changes it takes")
    start: Literal["earliest", "latest"] = Field(
        default="latest", description="where a new sink begins: with all of history, or from now on"
    )


class Settings(Spec):
    """A `twinwright.toml`. An empty one is valid."""

    store: StoreSettings = Field(default=StoreSettings(), description="where history is kept")
    api: ApiSettings = Field(default=ApiSettings(), description="what `up` serves")
    retention: RetentionSettings = Field(default=RetentionSettings(), description="how long things are kept")
    simulation: SimulationSettings = Field(default=SimulationSettings(), description="how runs are executed")
    connectors: dict[str, ConnectorSettings] = Field(default_factory=dict, description="sources of telemetry by name")
    sinks: dict[str, SinkSettings] = Field(default_factory=dict, description="where changes of twins go, by name")
    reconcile: dict[str, ReconcileSettings] = Field(default_factory=dict, description="what is compared at regular times, by name")
    webhooks: dict[str, WebhookSettings] = Field(default_factory=dict, description="where events go, by name")


def load_settings(folder: Path, problems: Problems, environment: Mapping[str, str] | None = None) -> tuple[Settings, Document]:
    """The settings of a folder (defaults where there is no file), and the document they were read from."""
    document = _read(folder / "twinwright.toml", problems)
    data = _with_environment(document.data, os.environ if environment is None else environment)
    document = Document(document.file, data, document.lines)
    return document.parse(Settings, problems) or Settings(), document


def load_store_settings(folder: Path) -> StoreSettings:
    """What `[store]` of a folder says, whatever the rest of the folder is like. Raises WorkspaceError."""
    problems = Problems()
    document = _read(folder / "twinwright.toml", problems)
    section = _with_environment(document.data, os.environ).get("store", {})
    lines = {place[1:]: line for place, line in document.lines.items() if place[:1] == ("store",)}
    settings = Document(document.file, section, {(): 1, **lines}).parse(StoreSettings, problems)
    if settings is not None:
        engine_of(settings, document, problems)
    if problems or settings is None:
        raise WorkspaceError(problems.items)
    return settings


def engine_of(settings: StoreSettings, document: Document, problems: Problems) -> Engine | None:
    """The engine that `[store]` names; None, and a problem, where it can't be had."""
    try:
        return find_engine(settings.engine)
    except TwinwrightError as error:
        problems.add(document.problem(("store", "engine"), error.what, error.remedy or "", "unknown_engine"))
        return None


def _read(path: Path, problems: Problems) -> Document:
    empty = Document(path.name, {}, {(): 1})
    if not path.exists():
        return empty
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_BYTES:
            problems.add(Problem(f"larger than {MAX_BYTES} bytes", "Make it smaller", path.name, code="too_large"))
            return empty
        text = raw.decode("utf-8")
        document = Document(path.name, tomllib.loads(text), _lines(text))
        _refuse_passwords(document, problems)
        return document
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"line (\d+)", str(error))
        line = int(match.group(1)) if match else None
        problems.add(Problem(f"not valid TOML: {error}", "Mend the syntax at this line", path.name, line, code="syntax"))
    except UnicodeDecodeError as error:
        problems.add(Problem(f"not UTF-8 (byte {error.start})", "Save the file as UTF-8", path.name, code="encoding"))
    except OSError as error:
        problems.add(Problem(f"can't be read: {error.strerror}", "Check its permissions", path.name, code="unreadable"))
    return empty


def _refuse_passwords(document: Document, problems: Problems) -> None:
    """The folder is kept in git: no address in it may hold a secret."""
    store = document.data.get("store")
    for key, value in store.items() if isinstance(store, dict) else ():
        if isinstance(value, str) and _PASSWORD.search(value):
            remedy = "Leave it out of the file: set PGPASSWORD, a passfile, or the whole address in TWINWRIGHT_STORE__" + key.upper()
            problems.add(document.problem(("store", key), "there is a password in it", remedy, "secret"))


def _lines(text: str) -> dict[Location, int]:
    """Where tables and keys are written; the TOML reader keeps no positions."""
    lines: dict[Location, int] = {(): 1}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = tuple(part.strip().strip("\"'") for part in header.group(1).split("."))
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, key.group(1).strip('"')), number)
    return lines


def _with_environment(data: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    merged = {name: dict(value) if isinstance(value, dict) else value for name, value in data.items()}
    for variable, value in environment.items():
        section, _, key = variable.removeprefix(_PREFIX).lower().partition("__")
        if variable.startswith(_PREFIX) and key and section in SECTIONS and isinstance(merged.setdefault(section, {}), dict):
            merged[section][key] = value.split(",") if key == "allowed_hosts" else value
    return merged
