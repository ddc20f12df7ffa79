"""`python -m twinwright.platform.ahead`: compile what takes telemetry in and what runs models now, and not while the first readings wait.

What is compiled is kept beside the sources, so this is done once for an installation.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from twinwright import open as open_workspace
from twinwright.simulation.worker import warm_up

_ROWS: Final = (2_000, 20_000)  # fewer are decoded one by one; so many that a piece is taken apart without the interpreter's lock
_INTERFACE: Final = {
    "@context": "dtmi:dtdl:context;3",
    "@id": "dtmi:twinwright:ahead:Thing;1",
    "@type": "Interface",
    "contents": [
        {"@type": "Property", "name": "a", "schema": "double"},
        {"@type": "Property", "name": "b", "schema": "integer"},
        {"@type": "Property", "name": "c", "schema": "string"},
    ],
}
_CONTRACT: Final = """
name: {format}
revision: 1
format: {format}
twin: thing
time: {time}
observations: [{{path: a, field: {prefix}a}}, {{path: b, field: {prefix}b}}, {{path: c, field: {prefix}c}}]
"""
_FORMATS: Final = {  # of each where the time is, and what stands before a field's name
    "json": ("{field: ts, format: iso8601}", ""),
    "csv": ("{field: ts, format: iso8601}", ""),
    "line-protocol": ("{field: timestamp}", "fields."),
}


def compile_ahead() -> None:
    """Take in a little telemetry of each text format, then more, in a workspace that is thrown away; load what models and Kafka need."""
    warm_up()
    with suppress(ImportError):  # of an extra
        from twinwright.connectors.kafka_records import load_compiled

        load_compiled()
    with tempfile.TemporaryDirectory(prefix="twinwright-") as name:
        folder = Path(name)
        _write(folder)
        with open_workspace(folder) as platform:
            for format in _FORMATS:
                for rows in _ROWS:  # the second time there are duplicates
                    platform.ingest([str(folder / f"{rows}.{format}")], format)


def _write(folder: Path) -> None:
    (folder / "twinwright.toml").touch()
    for part in ("schema", "contracts"):
        (folder / part).mkdir()
    (folder / "schema/thing.json").write_text(json.dumps(_INTERFACE), "utf-8")
    (folder / "twins.yaml").write_text(f"twins: [{{$dtId: thing, $metadata: {{$model: '{_INTERFACE['@id']}'}}}}]\n", "utf-8")
    for format, (time, prefix) in _FORMATS.items():
        document = _CONTRACT.format(format=format, time=time, prefix=prefix)
        (folder / f"contracts/{format}.yaml").write_text(document, "utf-8")
        for rows in _ROWS:
            (folder / f"{rows}.{format}").write_text("".join(_lines(format, rows)), "utf-8")


def _lines(format: str, count: int) -> list[str]:
    rows = [(f"2026-01-01T{row // 60 % 24:02}:{row % 60:02}:{row % 47:02}.{row % 1000:03}Z", row / 16, row, "on") for row in range(count)]
    match format:
        case "json":
            return [json.dumps({"ts": ts, "a": a, "b": b, "c": c}) + "\n" for ts, a, b, c in rows]
        case "csv":
            return ["ts,a,b,c\n", *(f"{ts},{a},{b},{c}\n" for ts, a, b, c in rows)]
        case _:
            return [f'thing a={a},b={b}i,c="{c}" {1_767_225_600 + b}000000000\n' for _, a, b, c in rows]


if __name__ == "__main__":
    compile_ahead()
