"""Write docs/reference from the code: commands, errors, metrics and the fields of every document. `make docs` runs it.

`tests/docs` fails when a page here is not what this would write.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from twinwright import errors, expressions
from twinwright.clock import format_duration
from twinwright.connectors.registry import load_connectors, load_sinks
from twinwright.documents import Duration, Spec
from twinwright.observability.metrics import Metrics
from twinwright.schema import extensions, metamodel, semantic_types
from twinwright.schema.clauses import CLAUSES
from twinwright.simulation.declaration import ModelSpec
from twinwright.simulation.registry import kinds
from twinwright.storage.registry import find_engine
from twinwright.units import CODES, DTDL_UNITS

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTICE = "<!-- Written by docs/generate.py: change the code, then run `make docs`. -->\n"
DOCUMENTS = (
    ("twinwright.toml", "twinwright.workspace:Settings"),
    ("contracts/*.yaml", "twinwright.telemetry.contract:ContractSpec"),
    ("derived/*.yaml", "twinwright.derived.definition:DerivedSpec"),
    ("migrations/*.yaml", "twinwright.twins.evolution.spec:MigrationSpec"),
    ("models/*.yaml", "twinwright.simulation.declaration:ModelSpec"),
    ("scenarios/*.yaml", "twinwright.simulation.scenario:ScenarioSpec"),
    ("shadows/*.yaml", "twinwright.simulation.shadow.definition:ShadowSpec"),
)


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "commands.md": commands(),
        "errors.md": error_tree(),
        "metrics.md": metrics(),
        "documents.md": documents(),
        "expressions.md": language(),
        "dtdl.md": dtdl(),
    }


def commands() -> str:
    """What `twinwright --help` and each `--help` below it say, as one page."""
    root = typer.main.get_command(import_module("twinwright.cli").app)
    lines = [NOTICE, "# Commands", ""]
    lines += ["Options follow the command. Exit codes: 0 done, 1 the answer is no, 2 wrong usage or input, 3 the platform failed.", ""]
    for path, command in _walk(root, "twinwright"):
        lines += _command(path, command)
    return "\n".join(lines).rstrip() + "\n"


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from _walk(child, f"{path} {name}")


def _command(path: str, command: Any) -> list[str]:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    usage = " ".join([path, *(_placeholder(argument) for argument in arguments), "[OPTIONS]"])
    lines = [f"## `{path}`", "", inspect.cleandoc(command.help or "").split("\f")[0], "", f"    {usage}", ""]
    if shown:
        lines += ["| | default | |", "|---|---|---|"]
        lines += [_row(f"`{_spelling(parameter)}`", _default(parameter), getattr(parameter, "help", None)) for parameter in shown]
        lines.append("")
    return lines


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[].")
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _spelling(parameter: Any) -> str:
    return _placeholder(parameter) if parameter.param_type_name == "argument" else ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    return f"`{value}`" if isinstance(value, str | int | float | Path) and not isinstance(value, bool) and str(value) else ""


def error_tree() -> str:
    """The tree of exceptions with the code, exit code and HTTP status of each."""
    lines = [NOTICE, "# Errors", "", "```text", inspect.cleandoc(errors.__doc__ or ""), "```", ""]
    lines += ["| exception | `code` | exit code | HTTP status | |", "|---|---|---|---|---|"]
    for error in _subclasses(errors.TwinwrightError):
        about = inspect.cleandoc(error.__doc__ or "").split("\n\n")[0]
        lines.append(_row(f"`{error.__name__}`", f"`{error.code}`", str(error.exit_code), str(error.http_status), about))
    return "\n".join(lines) + "\n"


def _subclasses(root: type[errors.TwinwrightError]) -> Iterator[type[errors.TwinwrightError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _subclasses(child)


def metrics() -> str:
    """What `/metrics` shows."""
    made = Metrics.create()
    labels = {name: ", ".join(f"`{label}`" for label in names) for name, names in _labels(made)}
    lines = [NOTICE, "# Metrics", "", "`GET /metrics`, in the Prometheus text form. A counter's name ends in `_total`.", ""]
    lines += ["| metric | type | labels | |", "|---|---|---|---|"]
    for family in sorted(made.registry.collect(), key=lambda family: family.name):
        lines.append(_row(f"`{family.name}`", family.type, labels.get(family.name, ""), family.documentation))
    return "\n".join(lines) + "\n"


def _labels(made: Metrics) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in dataclasses.fields(made):
        metric = getattr(made, field.name)
        if hasattr(metric, "_names"):
            yield next(iter(metric._metric.collect())).name, metric._names


def documents() -> str:
    """Every field of what is written by hand in a workspace."""
    lines = [NOTICE, "# Documents of a workspace", ""]
    lines += ["A field that is not listed here is refused.", ""]
    for title, root, known in _roots():
        lines += [f"## {title}", ""]
        for heading, spec in _specs(root, known):
            lines += [f"### {heading}", "", *_spec(spec, known), ""]
    return "\n".join(lines).rstrip() + "\n"


def language() -> str:
    """The expression language: what its package says of it, and its functions."""
    lines = [NOTICE, "# Expressions", "", "```text", inspect.cleandoc(expressions.__doc__ or ""), "```", ""]
    lines += [
        "A unit binds to its number: `9.5 V/s` is a number, `9.5 V / s` is divided by the name `s`. The plain number 0 has any unit",
        "but those with a zero of their own. Temperatures on such a scale (`degC`, `degF`) are points: their difference is in",
        "`delta_degC`, and only such a difference is added to one. Numbers are doubles.",
        "",
    ]
    lines += ["| function | |", "|---|---|"]
    lines += [_row(f"`{name}`", about) for name, about in expressions.function_table()]
    return "\n".join(lines) + "\n"


def _roots() -> Iterator[tuple[str, type[BaseModel], type[BaseModel]]]:
    """Title, model, and the model whose fields were shown before: what a kind or a connector adds comes after its base."""
    for title, place in DOCUMENTS:
        module, _, name = place.partition(":")
        yield f"`{title}`", getattr(import_module(module), name), Spec
        if name == "ModelSpec":
            own = {kind: model.Spec for kind, model in sorted(kinds().items()) if model.Spec is not ModelSpec}
            yield from ((f"`{title}` of `kind: {kind}`", spec, ModelSpec) for kind, spec in own.items())
    for engine in ("duckdb", "postgres"):
        yield f"Store `{engine}`: settings in `[store]`", find_engine(engine).Settings, Spec
    for name, source in load_connectors().items():
        yield f"Connector `{name}`: settings in `twinwright.toml`", source.Settings, Spec
        yield f"Connector `{name}`: `source` of a contract", source.Binding, Spec
    for name, sink in load_sinks().items():
        yield f"Sink `{name}`: settings in `twinwright.toml`", sink.Settings, Spec


def _specs(root: type[BaseModel], known: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A document's own model, then each model inside it, once."""
    waiting, seen = [root], {root}
    while waiting:
        spec = waiting.pop(0)
        yield _heading(spec), spec
        for field in _own(spec, known).values():
            for inner in _models_in(field.annotation):
                if inner not in seen:
                    seen.add(inner)
                    waiting.append(inner)


def _own(spec: type[BaseModel], known: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for name, field in spec.model_fields.items() if name not in known.model_fields}


def _heading(spec: type[BaseModel]) -> str:
    name = re.sub(r"(Spec|Settings)$", "", spec.__name__.lstrip("_")) or spec.__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]


def _spec(spec: type[BaseModel], known: type[BaseModel]) -> list[str]:
    about = [inspect.cleandoc(spec.__doc__), ""] if spec.__doc__ else []
    fields = _own(spec, known)
    lines = [*about, *(["| field | type | default | |", "|---|---|---|---|"] if fields else ["No fields of its own."])]
    for name, field in fields.items():
        value = field.get_default(call_default_factory=True)
        duration = typing.get_args(Duration)[1] in field.metadata  # written as PT5S, held as microseconds
        shown = format_duration(value) if duration and isinstance(value, int) else _plain(value)
        default = "required" if field.is_required() else "" if value is None else f"`{shown}`"
        kind = "duration" if duration else _type_name(field.annotation)
        lines.append(_row(f"`{field.alias or name}`", f"`{kind}`", default, field.description))
    return lines


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_name(arguments[0])
    if origin is typing.Literal:
        return " or ".join(str(argument) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_name(argument) for argument in arguments if argument is not type(None)))
    if origin is not None and arguments:
        inner = ", ".join("..." if argument is Ellipsis else _type_name(argument) for argument in arguments)
        return f"{_WORDS.get(origin.__name__, origin.__name__)}[{inner}]"
    name = getattr(annotation, "__name__", str(annotation))
    return _heading(annotation).lower() if isinstance(annotation, type) and issubclass(annotation, BaseModel) else _WORDS.get(name, name)


_WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "dict": "mapping",
    "Mapping": "mapping",
    "tuple": "list",
}


def _row(*cells: str | None) -> str:
    return "| " + " | ".join(" ".join((cell or "").split()).replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def dtdl() -> str:
    """The tables by which DTDL documents are judged."""
    lines = [
        NOTICE,
        "# DTDL",
        "",
        "The tables by which documents are judged. `schema validate` gives the code, and the clause it is of.",
        "",
    ]
    columns = {"2": (2, ""), "3": (3, ""), "4": (4, ""), "4, ONVIF": (4, "onvif"), "4, AIO": (4, "aio")}
    lines += ["## Limits by version", "", f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for field in dataclasses.fields(metamodel.Limits):
        values = [getattr(metamodel.LIMITS[key], field.name) for key in columns.values()]
        lines.append(f"| {field.name.replace('_', ' ')} | {' | '.join('' if value is None else f'{value:,}' for value in values)} |")
    lines += ["", "## Extensions", "", "| co-type | context | on | members |", "|---|---|---|---|"]
    for name, versions in extensions.versions().items():
        for version in versions if name != extensions.QUANTITATIVE else ():
            for item in extensions.cotypes(name, version).values():
                members = ", ".join(f"`{member.name}`{'' if member.required else ' (optional)'}" for member in item.members)
                lines.append(f"| `{item.name}` | `{name};{version}` | {', '.join(item.on)} | {members} |")
    lines += ["", "## Semantic types", "", "Built into DTDL 2, or of a version of `dtmi:dtdl:extension:quantitativeTypes`.", ""]
    lines += ["| semantic type | unit type | DTDL 2 | 1 | 2 | 3 |", "|---|---|---|---|---|---|"]
    for name in sorted(semantic_types.names(3)):
        has = ["yes" if semantic_types.unit_type(name, edition) else "" for edition in semantic_types.EDITIONS]
        lines.append(f"| `{name}` | {semantic_types.unit_type(name, 3)} | {' | '.join(has)} |")
    lines += ["", "## Units", "", "| DTDL | here | UCUM | QUDT |", "|---|---|---|---|"]
    for name, codes in sorted(CODES.items()):
        lines.append(f"| `{name}` | `{DTDL_UNITS[name] or 1}` | `{codes.ucum}` | `unit:{codes.qudt}` |")
    lines += ["", "## Codes", "", "Each begins with `dtmi:dtdl:parsingError:`.", "", "| code | clause |", "|---|---|"]
    lines += [f"| `{code}` | {clause} |" for code, clause in sorted(CLAUSES.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
