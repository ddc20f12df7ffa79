"""What can only be judged with all elements at hand: references, inheritance, cycles, depths, counts and unique names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from twinwright.documents import Location
from twinwright.schema import graph
from twinwright.schema.constraints import Constraints
from twinwright.schema.metamodel import COMPLEX_SCHEMAS, Member, StandardSchema
from twinwright.schema.node import Node, Reference
from twinwright.schema.report import Report
from twinwright.schema.sources import shown

_SCHEMA_MEMBERS = ("schema", "elementSchema")

# Limits of this platform, for documents to which those of the language do not apply.
_DEEPEST_EXTENDS = 64
_DEEPEST_SCHEMA = 32
_LARGEST = 1_000_000

_LOOKED_AT = 50  # identifiers that nothing has, for which the nearest is looked for
_COMPARED = 5_000
_UNLIKE = 3  # characters in length

_WORTH_COUNTING = 10_000
_COUNTED = frozenset({"contents", "fields", "enumValues", "request", "response", "properties", "schema", "elementSchema", "mapValue"})


class Model:
    """All nodes by their identifiers, and the checks across them. Call `add` for every tree, then `check`."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.roots: list[Node] = []
        self.nodes: list[Node] = []
        self.by_id: dict[str, Node] = {}
        self._repeated: set[str] = set()  # identifiers that are defined more than once
        self.recursive: set[Node] = set()  # schemas that contain themselves (v4)
        self._contents: dict[Node, list[Node]] = {}
        self._nearest: dict[str, str] = {}
        self._constraints = Constraints(report, self.linked, self.schemas)

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
                message = f"'{node.id}' is defined twice, first in {where}"
                self._fail(node, ("@id",), "duplicateDefinition", message, "Rename or remove one")
                self._repeated.add(node.id)
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
            self._fail_cycle(node, member, target)
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
            elif node.cls.name == "Interface":
                self._constraints.check_contents(node, self.contents(node))
            self._constraints.check(node)

    def _fail_cycle(self, node: Node, member: str, target: Node) -> None:
        message = " ".join(f"{target.cls.name} {target.id or ''} contains itself through '{member}'".split())
        if node.cls.name in (*COMPLEX_SCHEMAS, "Field", "MapValue"):
            self._fail(target, (), "recursiveStructureWide", message, "Break the cycle")
            return
        self._fail(target, (), "recursiveStructureNarrow", message, "Break the cycle", member)
        if node.cls.name == "Component":
            self._fail(
                node, (member,), "excludedType", "its interface has Components itself", "Use an interface without Components", member
            )

    def schemas(self, node: Node, member: str) -> list[Node | StandardSchema]:
        """The elements of a member, standard schemas included."""
        named: list[Node | StandardSchema] = [item for item in node.elements.get(member, ()) if isinstance(item, StandardSchema)]
        return named + self.linked(node, member)

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

    def _fail(
        self,
        node: Node,
        inside: Location,
        code: str,
        message: str,
        remedy: str,
        member: str | None = None,
        value: object = None,
        secondary: str | None = None,
    ) -> None:
        self.report.add(
            node.source,
            (*node.location, *inside),
            code,
            message,
            remedy,
            primary=node.name,
            secondary=secondary,
            member=member,
            value=value,
        )

    def _check_references(self, node: Node) -> None:
        for name, ref in _references(node):
            target, inside = self.by_id.get(ref.dtmi), ref.location[len(node.location) :]
            if target is None:
                remedy = self._instead_of(ref.dtmi)
                self._fail(node, inside, "unresolvedReference", f"'{ref.dtmi}' is not defined", remedy, name, ref.dtmi, ref.dtmi)
            elif target.cls.name != "Interface" and target.partition is not node.partition and ref.dtmi not in self._repeated:
                remedy = "Move it to the top level, or define it in this Interface"
                message, owner = f"'{ref.dtmi}' belongs to another Interface", target.partition.id if target.partition else None
                self._fail(node, inside, "crossPartitionReference", message, remedy, name, owner, ref.dtmi)

    def _instead_of(self, wanted: str) -> str:
        """What to do about an identifier that nothing has: a few of those that are missing are looked at closely."""
        remedy = "Add its definition to the documents, or give a resolver"
        if wanted not in self._nearest and len(self._nearest) < _LOOKED_AT:
            known = [id for id in self.by_id if abs(len(id) - len(wanted)) <= _UNLIKE][:_COMPARED]
            self._nearest[wanted] = next(iter(get_close_matches(wanted, known, 1, 0.85)), "")
        near = self._nearest.get(wanted)
        return f"Did you mean '{near}'? Or add its definition, or give a resolver" if near else remedy

    def _check_conformance(self, node: Node) -> None:
        for name, items in node.elements.items():
            member = node.cls.members[name]
            for item in items:
                target = self.by_id.get(item.dtmi) if isinstance(item, Reference) else item
                if not isinstance(target, Node) or isinstance(item, StandardSchema):
                    continue
                inside = item.location[len(node.location) :]
                if target.cls.name not in member.classes:
                    remedy = f"It must be one of: {', '.join(member.classes)}"
                    self._fail(node, inside, "badType", f"'{name}' is a {target.cls.name}", remedy, name, target.cls.name, target.name)
                    continue
                referred = isinstance(item, Reference)  # what is written inside in a later version is told where it says so
                later = target.version > node.version and referred
                if later or (member.same_version and target.version < node.version):
                    message = f"this {node.cls.name} is of DTDL {node.version}, its {target.cls.name} of DTDL {target.version}"
                    code = "disallowedVersionReference" if referred else "disallowedVersionDefinition"
                    secondary = target.name if referred else None
                    self._fail(node, inside, code, message, "Write both in one version", name, str(target.version), secondary)

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
                self._fail(node, (name,), "objectCountAboveMax", message, f"At most {member.max_count} are allowed", name)
        most = node.limits.contents
        if node.cls.name == "Interface" and "contents" not in node.elements and most is not None:
            count = len(self.contents(node))
            if count > most:
                self._fail(node, ("extends",), "objectCountAboveMax", f"{count} contents are inherited", f"At most {most}", "contents")

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
            value = target.values.get(key)
            if value is None:
                continue
            first = seen.setdefault((type(value), value), target)
            if first is not target and (first.id is None or first.id != target.id):
                inherited = member.name == "contents" and target.partition is not first.partition
                code = "nonUniqueImportedPropertyValue" if inherited else "nonUniquePropertyValue"
                message = f"two elements have the {key} '{value}'"
                own = target.partition is node.partition
                source, place = (target.source, (*target.location, key)) if own else (node.source, (*node.location, "extends"))
                other = next((item.partition for item in (first, target) if item.partition is not node), None) if inherited else None
                self.report.add(
                    source,
                    place,
                    code,
                    message,
                    "Rename one of them",
                    primary=node.name,
                    member=member.name,
                    value=value,
                    secondary=other.id if other is not None else None,
                )

    def _check_enum(self, node: Node) -> None:
        """Every value is of the datatype that the Enum names."""
        wanted = node.values.get("valueSchema")
        for value in self.linked(node, "enumValues"):
            found = value.values.get("enumValue")
            if wanted is None or found is None or (isinstance(found, str) if wanted == "string" else type(found) is int):
                continue
            message, remedy = f"{shown(found)} is not of the datatype {wanted}", f"Write a value of type {wanted}"
            self._fail(value, ("enumValue",), "nonConformantDatatype", message, remedy, "enumValue", found, node.name)

    def _check_component(self, node: Node) -> None:
        for interface in self.linked(node, "schema"):
            first = next((content for content in self.contents(interface) if content.cls.name == "Component"), None)
            if first is not None:
                message = f"the interface {interface.id} of a Component has Components itself"
                remedy = "Use an interface without Components"
                self._fail(node, ("schema",), "excludedType", message, remedy, "schema", secondary=first.name)

    def _check_no_array(self, node: Node) -> None:
        """DTDL v2: a Property holds no Array anywhere, nor a geospatial schema (which is one)."""
        pending = [node]
        while pending:
            inner = pending.pop()
            for name, items in inner.elements.items():
                if any(isinstance(item, StandardSchema) and item.kind == "geospatial" for item in items):
                    message = "a Property of DTDL 2 can't be geospatial"
                    self._fail(node, (), "excludedType", message, "Use Telemetry, or DTDL 3", "schema")
                targets = self.linked(inner, name)
                for target in (target for target in targets if target.cls.name == "Array"):
                    message = "a Property of DTDL 2 can't hold an Array"
                    self._fail(node, (), "excludedType", message, "Use a Map, or DTDL 3", "schema", secondary=target.name)
                pending.extend(targets)

    def _too_deep(self, order: list[Node]) -> bool:
        """Depths and total counts. What comes after may recurse and unfold, so nothing does where these are exceeded."""
        before = len(self.report.problems)
        extends_depth = graph.depths(order, lambda node: ((1, base) for base in self.linked(node, "extends")))
        for node in order:
            if node.cls.name == "Interface":
                self._check_extends(node, extends_depth)
        order, cycles = graph.walk(self.nodes, self._all_edges)
        self.recursive.update(target for _, _, target in cycles)
        back = {(node, target) for node, _, target in cycles}
        schema_depth = graph.depths(order, lambda node: self._schema_steps(node, back))
        sizes = graph.sizes(order, lambda node: (target for _, target in self._all_edges(node) if (node, target) not in back))
        for node in order:
            most = node.limits.schema_depth or _DEEPEST_SCHEMA
            if node.cls.name in COMPLEX_SCHEMAS and schema_depth[node] > most:
                message = f"schemas are nested {schema_depth[node]} deep"
                beyond = graph.along(node, lambda node: self._schema_steps(node, back), schema_depth, schema_depth[node] - most)
                self._fail(node, (), "excessiveDepthWide", message, f"At most {most} levels", secondary=beyond.name)
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

    def _check_extends(self, node: Node, depths: dict[Node, int]) -> None:
        limits, depth = node.limits, depths[node]
        most = limits.extends_depth or _DEEPEST_EXTENDS
        if depth > most:
            beyond = graph.along(node, lambda node: ((1, base) for base in self.linked(node, "extends")), depths, depth - most - 1)
            message, remedy = f"{depth} levels of extends", f"At most {most} levels"
            self._fail(node, ("extends",), "excessiveDepthNarrow", message, remedy, "extends", secondary=beyond.id)
        if limits.extends_total is not None:
            count = self._extends_count(node, limits.extends_total)
            if count > limits.extends_total:
                message = f"more than {limits.extends_total} interfaces are extended in all"
                self._fail(node, ("extends",), "excessiveCount", message, "Flatten the hierarchy")

    def _check_total(self, interface: Node) -> None:
        """The values of all members below an interface, those of shared elements once."""
        most = interface.limits.elements
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
