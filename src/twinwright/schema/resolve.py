"""What can only be judged with all elements at hand: references, inheritance, cycles, depths, counts and unique names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twinwright.documents import Location
from twinwright.schema import graph, metamodel
from twinwright.schema.literals import Place, literal, single
from twinwright.schema.metamodel import COMPLEX_SCHEMAS, NO_LIMITS, Limits, Member, StandardSchema
from twinwright.schema.parser import Node, Reference
from twinwright.schema.sources import Report

_SCHEMA_MEMBERS = ("schema", "elementSchema")

# Limits of this platform, for documents to which those of the language do not apply.
_DEEPEST_EXTENDS = 64
_DEEPEST_SCHEMA = 32
_LARGEST = 1_000_000

_WORTH_COUNTING = 10_000
_COUNTED = frozenset({"contents", "fields", "enumValues", "request", "response", "properties", "schema", "elementSchema", "mapValue"})


class Model:
    """All nodes by their identifiers, and the checks across them. Call `add` for every tree, then `check`."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.roots: list[Node] = []
        self.nodes: list[Node] = []
        self.by_id: dict[str, Node] = {}
        self.recursive: set[Node] = set()  # schemas that contain themselves (v4)
        self._contents: dict[Node, list[Node]] = {}

    def add(self, root: Node) -> None:
        """Take in a top-level element and all inside it."""
        self.roots.append(root)
        pending = [root]
        while pending:
            node = pending.pop()
            self.nodes.append(node)
            pending.extend(child for _, child in node.children())
            if node.id is None:
                continue
            if node.id in self.by_id:
                first = self.by_id[node.id]
                where = f"{first.source.name or 'another document'}:{first.source.line(first.location) or '?'}"
                self._fail(node, ("@id",), "duplicateDefinition", f"'{node.id}' is defined twice, first in {where}", "Rename or remove one")
            else:
                self.by_id[node.id] = node

    def unresolved(self) -> set[str]:
        """The identifiers that are referred to and defined nowhere."""
        return {ref.dtmi for node in self.nodes for _, ref in _references(node) if ref.dtmi not in self.by_id}

    def check(self) -> None:
        """Put everything that is wrong across elements into the report."""
        for node in self.nodes:
            self._check_references(node)
            self._check_conformance(node)
        order, cycles = graph.walk(self.nodes, self._edges)
        for node, member, target in cycles:
            code = "recursiveStructureNarrow" if member == "extends" else "recursiveStructureWide"
            message = " ".join(f"{target.cls.name} {target.id or ''} contains itself through '{member}'".split())
            self._fail(node, (member,), code, message, "Break the cycle")
        if cycles or self._too_deep(order):
            return
        for node in order:
            self._check_counts(node)
            self._check_unique(node)
            if node.cls.name == "Enum":
                self._check_enum(node)
            elif node.cls.name == "Component":
                self._check_component(node)
            elif node.cls.name == "Property" and node.version == 2:
                self._check_no_array(node)

    def linked(self, node: Node, member: str) -> list[Node]:
        """The elements of a member, included or referred to."""
        found = []
        for item in node.elements.get(member, ()):
            target = self.by_id.get(item.dtmi) if isinstance(item, Reference) else item
            if isinstance(target, Node):
                found.append(target)
        return found

    def contents(self, interface: Node) -> list[Node]:
        """The contents of an interface, those of what it extends included, each once, bases first."""
        if interface not in self._contents:
            found: dict[Node, None] = {}
            for base in self.linked(interface, "extends"):
                found.update(dict.fromkeys(self.contents(base)))
            found.update(dict.fromkeys(self.linked(interface, "contents")))
            self._contents[interface] = list(found)
        return self._contents[interface]

    def _fail(self, node: Node, inside: Location, code: str, message: str, remedy: str) -> None:
        self.report.add(node.source, (*node.location, *inside), code, message, remedy)

    def _check_references(self, node: Node) -> None:
        for _, ref in _references(node):
            target = self.by_id.get(ref.dtmi)
            if target is None:
                remedy = "Add its definition to the documents, or give a resolver"
                self.report.add(node.source, ref.location, "unresolvedReference", f"'{ref.dtmi}' is not defined", remedy)
            elif target.cls.name != "Interface" and target.partition is not node.partition:
                remedy = "Move it to the top level, or define it in this Interface"
                self.report.add(node.source, ref.location, "crossPartitionReference", f"'{ref.dtmi}' belongs to another Interface", remedy)

    def _check_conformance(self, node: Node) -> None:
        for name, items in node.elements.items():
            member = node.cls.members[name]
            for item in items:
                target = self.by_id.get(item.dtmi) if isinstance(item, Reference) else item
                if not isinstance(target, Node) or isinstance(item, StandardSchema):
                    continue
                place = item.location
                if target.cls.name not in member.classes:
                    message = f"'{name}' is a {target.cls.name}"
                    self.report.add(node.source, place, "badType", message, f"It must be one of: {', '.join(member.classes)}")
                elif target.version > node.version or (member.same_version and target.version != node.version):
                    message = f"a {node.cls.name} of DTDL {node.version} has a {target.cls.name} of DTDL {target.version}"
                    code = "disallowedVersionReference" if isinstance(item, Reference) else "disallowedVersionDefinition"
                    self.report.add(node.source, place, code, message, "Write both in one version")

    def _edges(self, node: Node) -> Iterator[tuple[str, Node]]:
        """The steps of which no path may come back to its beginning: in v4 it may through a complex schema."""
        for name, target in self._all_edges(node):
            if not (node.version == 4 and name in _SCHEMA_MEMBERS and target.cls.name in COMPLEX_SCHEMAS):
                yield name, target

    def _all_edges(self, node: Node) -> Iterator[tuple[str, Node]]:
        for name in node.elements:
            for target in self.linked(node, name):
                yield name, target

    def _check_counts(self, node: Node) -> None:
        for name, items in node.elements.items():
            member = node.cls.members[name]
            count = len(self.contents(node)) if name == "contents" else len(items)
            if member.max_count is not None and count > member.max_count:
                message = f"'{name}' has {count} elements"
                self._fail(node, (name,), "objectCountAboveMax", message, f"At most {member.max_count} are allowed")
        limits = _limits(node)
        if node.cls.name == "Interface" and "contents" not in node.elements and limits.contents is not None:
            count = len(self.contents(node))
            if count > limits.contents:
                self._fail(node, ("extends",), "objectCountAboveMax", f"{count} contents are inherited", f"At most {limits.contents}")

    def _check_unique(self, node: Node) -> None:
        for name, member in node.cls.members.items():
            if not member.unique or (name not in node.elements and node.cls.name != "Interface"):
                continue
            targets = self.contents(node) if name == "contents" else self.linked(node, name)
            for key in member.unique:
                self._check_unique_key(node, member, key, targets)

    def _check_unique_key(self, node: Node, member: Member, key: str, targets: Iterable[Node]) -> None:
        seen: dict[object, Node] = {}
        for target in targets:
            value = _plain(target.values.get(key))
            if value is None or isinstance(value, dict | list):
                continue
            tagged = (type(value), value)
            if tagged in seen and seen[tagged] is not target:
                inherited = member.name == "contents" and target.partition is not node
                code = "nonUniqueImportedPropertyValue" if inherited else "nonUniquePropertyValue"
                self._fail(node, (member.name,), code, f"two elements have the {key} '{value}'", "Rename one of them")
            seen.setdefault(tagged, target)

    def _check_enum(self, node: Node) -> None:
        wanted = node.values.get("valueSchema")
        for value in self.linked(node, "enumValues"):
            if wanted is None or "enumValue" not in value.values:
                continue
            place = Place(value.source, (*value.location, "enumValue"), value.version, self.report)
            inner = single(value.values["enumValue"], value.cls.members["enumValue"], place)
            literal(inner, wanted, place)

    def _check_component(self, node: Node) -> None:
        for interface in self.linked(node, "schema"):
            if any(content.cls.name == "Component" for content in self.contents(interface)):
                message = f"the interface {interface.id} of a Component has Components itself"
                self._fail(node, ("schema",), "excludedType", message, "Use an interface without Components")

    def _check_no_array(self, node: Node) -> None:
        """DTDL v2: a Property holds no Array anywhere, nor a geospatial schema (which is one)."""
        pending = [node]
        while pending:
            inner = pending.pop()
            for name, items in inner.elements.items():
                if any(isinstance(item, StandardSchema) and item.kind == "geospatial" for item in items):
                    self._fail(inner, (name,), "excludedType", "a Property of DTDL 2 can't be geospatial", "Use Telemetry, or DTDL 3")
                targets = self.linked(inner, name)
                if any(target.cls.name == "Array" for target in targets):
                    self._fail(inner, (name,), "excludedType", "a Property of DTDL 2 can't hold an Array", "Use a Map, or DTDL 3")
                pending.extend(targets)

    def _too_deep(self, order: list[Node]) -> bool:
        """Depths and total counts. What comes after may recurse and unfold, so nothing does where these are exceeded."""
        before = len(self.report.problems)
        extends_depth = graph.depths(order, lambda node: ((1, base) for base in self.linked(node, "extends")))
        for node in order:
            if node.cls.name == "Interface":
                self._check_extends(node, extends_depth[node])
        order, cycles = graph.walk(self.nodes, self._all_edges)
        self.recursive.update(target for _, _, target in cycles)
        back = {(node, target) for node, _, target in cycles}
        schema_depth = graph.depths(order, lambda node: self._schema_steps(node, back))
        sizes = graph.sizes(order, lambda node: (target for _, target in self._all_edges(node) if (node, target) not in back))
        for node in order:
            most = _limits(node).schema_depth or _DEEPEST_SCHEMA
            if node.cls.name in COMPLEX_SCHEMAS and schema_depth[node] > most:
                message = f"schemas are nested {schema_depth[node]} deep"
                self._fail(node, (), "excessiveDepthWide", message, f"At most {most} levels")
            if node.cls.name == "Interface" and sizes[node] > _WORTH_COUNTING:
                self._check_total(node)
            if node.cls.name == "Interface" and sizes[node] > _LARGEST:
                self._fail(node, (), "excessiveCount", f"the Interface unfolds to more than {_LARGEST} elements", "Split it")
        return len(self.report.problems) > before

    def _schema_steps(self, node: Node, back: set[tuple[Node, Node]]) -> Iterator[tuple[int, Node | None]]:
        for name, items in node.elements.items():
            step = 1 if name in _SCHEMA_MEMBERS else 0
            if items:
                yield step, None
            yield from ((step, target) for target in self.linked(node, name) if (node, target) not in back)

    def _check_extends(self, node: Node, depth: int) -> None:
        limits = _limits(node)
        most = limits.extends_depth or _DEEPEST_EXTENDS
        if depth > most:
            self._fail(node, ("extends",), "excessiveDepthNarrow", f"{depth} levels of extends", f"At most {most} levels")
        if limits.extends_total is not None:
            count = self._extends_count(node, limits.extends_total)
            if count > limits.extends_total:
                message = f"more than {limits.extends_total} interfaces are extended in all"
                self._fail(node, ("extends",), "excessiveCount", message, "Flatten the hierarchy")

    def _check_total(self, interface: Node) -> None:
        """The values of all members below an interface, those of shared elements once."""
        most = _limits(interface).elements
        seen, pending, count = {interface}, [interface], 0
        while pending and most is not None and count <= most:
            node = pending.pop()
            count += sum(len(items) for name, items in node.elements.items() if name in _COUNTED)
            targets = {target for _, target in self._all_edges(node)} - seen
            seen |= targets
            pending.extend(targets)
        if most is not None and count > most:
            self._fail(interface, (), "excessiveCount", f"the Interface has more than {most} elements in all", "Split it")

    def _extends_count(self, node: Node, limit: int) -> int:
        """Values of all `extends` members below: those of one interface count once however often it is reached."""
        seen, pending, count = {node}, [node], 0
        while pending and count <= limit:
            bases = self.linked(pending.pop(), "extends")
            count += len(bases)
            pending.extend(base for base in bases if base not in seen)
            seen.update(bases)
        return count


def _references(node: Node) -> Iterator[tuple[str, Reference]]:
    for name, items in node.elements.items():
        for item in items:
            if isinstance(item, Reference):
                yield name, item


def _limits(node: Node) -> Limits:
    return metamodel.LIMITS[node.version] if node.limited else NO_LIMITS


def _plain(value: object) -> object:
    """The literal of an enumValue, which is checked when its Enum is known."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.get("@value") if isinstance(value, dict) else value
