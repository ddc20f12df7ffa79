"""FMUs from C sources: compiled with the machine's compiler against declarations of ours, checked, and zipped."""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from xml.sax.saxutils import quoteattr

from twinwright.errors import InvalidError, Problem, UsageError
from twinwright.simulation.fmi.archive import DESCRIPTION, open_archive
from twinwright.simulation.fmi.description import Finding, ModelDescription
from twinwright.simulation.fmi.native import compile_shared, compiler
from twinwright.simulation.fmi.platforms import HEADERS, SourceList, host_platforms
from twinwright.simulation.fmi.read import parse_description

FLAGS = ("-O2", "-fPIC", "-shared", "-w")
_OWN_FLAGS = ("-fvisibility=hidden",)  # what FMI names is exported by our declarations; other sources may bring some that do not
LANGUAGE = {".c": "-std=gnu99", ".cc": "-std=c++14", ".cpp": "-std=c++14", ".cxx": "-std=c++14"}


def compile_sources(folder: Path, sources: SourceList, major: int, target: Path, identifier: str | None = None) -> None:
    """Compile files of `folder` into the shared library `target`. Raises OSError with what the compiler said."""
    if sys.platform == "linux":
        sources = replace(sources, options=(*sources.options, "-Wl,-Bsymbolic"))  # its own functions, whatever else is called like them
    with resources.as_file(resources.files(__package__).joinpath("include")) as include:
        places = [folder, folder / "sources", *(folder / name for name in sources.includes)]
        command = [compiler(), *FLAGS, *(f"-I{place}" for place in places), f"-I{include}", *sources.definitions, *sources.options]
        command += ["-DFMI3_OVERRIDE_FUNCTION_PREFIX"] if major == 3 else []
        if identifier:
            command.append(f"-DMODEL_IDENTIFIER={identifier}")
        suffixes = {Path(name).suffix for name in sources.files}
        command += [LANGUAGE[".c"]] if suffixes <= {".c"} else []
        libraries = [] if suffixes <= {".c"} else ["-lstdc++"]
        compile_shared([*command, *(str(folder / name) for name in sources.files), *libraries], target)


def build_fmu(
    given: Sequence[Path], target: Path | None, *, with_sources: bool = False, with_binary: bool = True
) -> tuple[Path, list[Finding]]:
    """An FMU of a description (an XML file), C files, and folders that hold them or are its `resources`.

    Gives its path (default: the model's name in the current folder) and what was found wrong with it, if no error is among it.
    Raises UsageError where files are missing or do not compile, or where it would not be a valid FMU.
    """
    files = _collect(given)
    descriptions = [path for path in files.xml if b"<fmiModelDescription" in path.read_bytes()[:65536]]
    if len(descriptions) != 1:
        names = ", ".join(path.name for path in descriptions) or "none"
        raise UsageError(
            f"one model description is needed, there are: {names}", remedy="Name the .xml file and the .c files that belong together"
        )
    body = descriptions[0].read_bytes()
    description = parse_description(body, str(descriptions[0]))
    identifiers = {one.identifier for one in description.interfaces}
    if not files.code:
        raise UsageError("no C file to compile", remedy="Name the .c files, or the folder that holds them")
    entries: dict[str, bytes] = {DESCRIPTION: body, **{f"resources/{name}": path.read_bytes() for name, path in files.resources.items()}}
    for identifier in identifiers:
        if with_binary:
            entries[f"binaries/{_platform(description)}/{identifier}.so"] = _binary(files, description.major, identifier)
    if with_sources or not with_binary:
        sources = {path.name: path.read_bytes() for path in (*files.code, *files.headers)}
        entries |= {f"sources/{name}": content for name, content in sources.items()}
        entries["sources/buildDescription.xml"] = _build_description(identifiers, [path.name for path in files.code])
    content = _zip(entries)
    findings = _check(content, str(descriptions[0]))
    target = target or Path(f"{description.name}.fmu")
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise UsageError(f"can't be written: {error.strerror}", where=str(target), remedy="Name another file with --out") from None
    return target, findings


@dataclass(slots=True)
class _Files:
    xml: list[Path] = field(default_factory=list)
    code: list[Path] = field(default_factory=list)
    headers: list[Path] = field(default_factory=list)
    resources: dict[str, Path] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        if path.suffix == ".xml" and path.name != "buildDescription.xml":
            self.xml.append(path)
        elif path.suffix in LANGUAGE:
            self.code.append(path)
        elif path.suffix in HEADERS:
            self.headers.append(path)


def _collect(given: Sequence[Path]) -> _Files:
    files = _Files()
    for path in given:
        if path.is_dir() and path.name == "resources":
            files.resources |= {one.relative_to(path).as_posix(): one for one in sorted(path.rglob("*")) if one.is_file()}
        elif path.is_dir():
            for one in sorted([*path.iterdir(), *(path / "sources").glob("*")]):
                files.add(one)
            inner = path / "resources"
            files.resources |= {one.relative_to(inner).as_posix(): one for one in sorted(inner.rglob("*")) if one.is_file()}
        elif path.is_file():
            files.add(path)
        else:
            raise UsageError("there is no such file or folder", where=str(path), remedy="Name .xml and .c files, or their folder")
    return files


def _platform(description: ModelDescription) -> str:
    """The folder of this machine's binaries: 2.0 and 3.0 name it differently."""
    return host_platforms()[-1 if description.major == 2 else 0]


def _binary(files: _Files, major: int, identifier: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="twinwright-") as name:
        target = Path(name) / f"{identifier}.so"
        folders = sorted({str(path.parent.resolve()) for path in (*files.code, *files.headers)})
        sources = SourceList(tuple(str(path.resolve()) for path in files.code), options=(*_OWN_FLAGS, *(f"-I{one}" for one in folders)))
        try:
            compile_sources(Path(name), sources, major, target, identifier)
        except OSError as error:
            raise UsageError(str(error), where=identifier, remedy="Correct the source, or install a C compiler") from None
        return target.read_bytes()


def _build_description(identifiers: set[str], names: Sequence[str]) -> bytes:
    rows = "".join(f"      <SourceFile name={quoteattr(name)}/>\n" for name in names)
    configurations = "".join(
        f'  <BuildConfiguration modelIdentifier={quoteattr(one)}>\n    <SourceFileSet language="C99">\n{rows}    </SourceFileSet>\n'
        "  </BuildConfiguration>\n"
        for one in sorted(identifiers)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<fmiBuildDescription fmiVersion="3.0">\n'
    return f"{head}{configurations}</fmiBuildDescription>\n".encode()


def _zip(entries: Mapping[str, bytes]) -> bytes:
    """Equal entries give equal bytes: no times, sorted."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            archive.writestr(info, entries[name])
    return buffer.getvalue()


def _check(content: bytes, name: str) -> list[Finding]:
    from twinwright.simulation.fmi.check import check_fmu
    from twinwright.simulation.fmi.read import read_description

    archive = open_archive(content, name)
    findings = check_fmu(archive, read_description(archive))
    errors = [one for one in findings if one.severity == "error"]
    if errors:
        raise InvalidError([Problem(one.message, f"{one.remedy} ({one.clause})", name, one.line) for one in errors])
    return findings
