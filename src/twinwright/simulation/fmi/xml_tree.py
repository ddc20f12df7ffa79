"""XML as a small tree with line numbers, read with limits: no document type, no entities, bounded size, depth and count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from twinwright.errors import Problem, UsageError

MAX_BYTES = 128 << 20
MAX_ELEMENTS = 3_000_000
MAX_DEPTH = 64
MAX_ATTRIBUTES = 256


class XmlError(UsageError):
    """A file that is not XML as it is read here; `problem` says where."""

    def __init__(self, problem: Problem) -> None:
        where = f"{problem.file}:{problem.line}" if problem.line else problem.file
        super().__init__(problem.message, where=where, remedy=problem.remedy)
        self.problem = problem


@dataclass(slots=True)
class Node:
    """An element: its name without prefix, attributes, children in order, and its line. Text says nothing but in annotations of tools."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Node] = field(default_factory=list)

    def child(self, tag: str) -> Node | None:
        return next((one for one in self.children if one.tag == tag), None)

    def named(self, tag: str) -> Iterator[Node]:
        return (one for one in self.children if one.tag == tag)

    def under(self, tag: str) -> list[Node]:
        """The children of the child `tag`; none where there is no such child."""
        found = self.child(tag)
        return found.children if found else []


def parse_xml(body: bytes, file: str) -> Node:
    """The root of a document. Raises XmlError for what is not well-formed, has a document type, or passes a limit."""
    if len(body) > MAX_BYTES:
        raise _error(file, None, f"{len(body)} bytes of XML", f"At most {MAX_BYTES} are read")
    return _Builder(file).parse(body)


class _Builder:
    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.stack: list[Node] = []
        self.count = 0
        self.parser = expat.ParserCreate()
        self.parser.ordered_attributes = True
        self.parser.StartDoctypeDeclHandler = self.refuse_doctype
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end

    def parse(self, body: bytes) -> Node:
        try:
            self.parser.Parse(body, True)
        except expat.ExpatError as error:
            message = expat.ErrorString(error.code) or "not well-formed"
            raise _error(self.file, error.lineno, f"not well-formed XML: {message}", "Export the FMU again") from None
        except (LookupError, ValueError) as error:  # an encoding that nobody knows
            raise _error(self.file, 1, f"not readable as XML: {error}", "Save it as UTF-8") from None
        if self.root is None:
            raise _error(self.file, 1, "no element", "Export the FMU again")
        return self.root

    def refuse_doctype(self, *_: object) -> None:
        raise self.stop("a document type declaration, which could define entities", "Remove <!DOCTYPE ...>")

    def start(self, tag: str, attributes: list[str]) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise self.stop(f"more than {MAX_ELEMENTS} elements", "Export fewer variables")
        if len(self.stack) >= MAX_DEPTH:
            raise self.stop(f"nested deeper than {MAX_DEPTH}", "Export the FMU again")
        if len(attributes) > 2 * MAX_ATTRIBUTES:
            raise self.stop(f"more than {MAX_ATTRIBUTES} attributes", "Export the FMU again")
        node = Node(tag.rpartition(":")[2], dict(zip(attributes[::2], attributes[1::2], strict=True)), self.parser.CurrentLineNumber)
        if self.stack:
            self.stack[-1].children.append(node)
        else:
            self.root = node
        self.stack.append(node)

    def end(self, _: str) -> None:
        self.stack.pop()

    def stop(self, message: str, remedy: str) -> XmlError:
        return _error(self.file, self.parser.CurrentLineNumber, message, remedy)


def _error(file: str, line: int | None, message: str, remedy: str) -> XmlError:
    return XmlError(Problem(message, remedy, file, line, code="xml"))
