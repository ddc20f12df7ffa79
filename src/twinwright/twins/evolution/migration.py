"""A migration checked against both versions: of every path of one it is known what becomes of it in the other.

A stored record tells by its path alone which version it speaks of. So a name that both versions have is one quantity, and what changes
its meaning takes a new name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from twinwright import expressions, schema, units
from twinwright.documents import Document, Location, Problems, parse_text
from twinwright.errors import ExpressionError, UnitError
from twinwright.expressions import Checked, Kind, Type
from twinwright.schema import Enum, Ontology, PathInfo, Primitive, Property, Schema
from twinwright.schema.diff import value_changes
from twinwright.storage.layout import ColumnType
from twinwright.twins.evolution.spec import MigrationSpec, StepSpec, parse_migration
from twinwright.twins.values import scalar_type

MOVED: Final = "migration"  # the kind of record that says which lifetimes a migration moved, by its name
KINDS: Final[Mapping[ColumnType, Kind]] = {"DOUBLE": "number", "BIGINT": "number", "BOOLEAN": "boolean", "VARCHAR": "text"}


@dataclass(frozen=True, slots=True)
class Way:
    """How the record of one path becomes that of another: from `path`, by an expression (None: the value and its unit stay)."""

    path: str
    by: Checked | None = None
    held: ColumnType = "DOUBLE"  # how what comes of the expression is stored


@dataclass(frozen=True, slots=True)
class Migration:
    """`forward`: of each path of the new version that has a past, where it comes from; `backward`: of each path of the old version that
    the new one can still tell, where from. `defaults` are values of new properties."""

    spec: MigrationSpec
    forward: Mapping[str, Way]
    backward: Mapping[str, Way]
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def old(self) -> str:
        return self.spec.from_

    @property
    def new(self) -> str:
        return self.spec.to


def compile_migrations(texts: Mapping[str, str], ontology: Ontology, problems: Problems) -> dict[str, Migration]:
    """Migrations by name, from their documents by file name; every problem is added with its line."""
    found: dict[str, Migration] = {}
    read: dict[str, tuple[MigrationSpec, Document]] = {}
    for file, text in texts.items():
        document = parse_text(text, file, problems)
        spec = parse_migration(document, problems) if document else None
        if document is None or spec is None:
            continue
        if spec.name in read:
            problems.add(document.problem(("name",), f"there is another migration '{spec.name}'", "Rename one", "duplicate_migration"))
            continue
        read[spec.name] = spec, document
        one = _Checker(spec, document, ontology, problems).migration()
        if one is not None:
            found[spec.name] = one
    if len(found) == len(read):
        _check_chains(read, ontology, problems)
    return found


def storage_type(of: Schema) -> ColumnType:
    """How values are stored; what fits no column is JSON text."""
    return (scalar_type(of) if isinstance(of, Primitive | Enum) else None) or "VARCHAR"


class _Checker:
    """Checks one migration; `problems` takes all that is wrong with it."""

    def __init__(self, spec: MigrationSpec, document: Document, ontology: Ontology, problems: Problems) -> None:
        self._spec, self._document, self._ontology, self._problems = spec, document, ontology, problems
        self._before = len(problems)
        self._old: Mapping[str, PathInfo] = {}
        self._new: Mapping[str, PathInfo] = {}

    def _add(self, place: Location, message: str, remedy: str, code: str) -> None:
        self._problems.add(self._document.problem(place, message, remedy, code))

    def migration(self) -> Migration | None:
        spec = self._spec
        for place, dtmi in (("from", spec.from_), ("to", spec.to)):
            if dtmi not in self._ontology.interfaces:
                self._add(
                    (place,),
                    f"there is no interface {dtmi}",
                    _nearest(dtmi, self._ontology.interfaces, "Add it to schema/"),
                    "unknown_interface",
                )
        if spec.from_ == spec.to:
            self._add(("to",), "both versions are the same", "Give the new version its own: dtmi:...;2", "same_version")
        if len(self._problems) > self._before:
            return None
        self._old, self._new = self._ontology.paths(spec.from_), self._ontology.paths(spec.to)
        forward: dict[str, Way] = {}
        backward: dict[str, Way] = {}
        defaults: dict[str, Any] = {}
        gone: dict[str, StepSpec] = {}  # old paths that a step names
        units_told: dict[str, int] = {}
        for index, step in enumerate(spec.steps):
            self._step(index, step, forward, backward, defaults, gone, units_told)
        self._carried(forward, backward, gone, units_told)
        self._relationships()
        if len(self._problems) > self._before:
            return None
        return Migration(spec, forward, backward, defaults)

    # --- steps ---------------------------------------------------------------------------------------------------------

    def _step(
        self,
        index: int,
        step: StepSpec,
        forward: dict[str, Way],
        backward: dict[str, Way],
        defaults: dict[str, Any],
        gone: dict[str, StepSpec],
        units_told: dict[str, int],
    ) -> None:
        place: Location = ("steps", index)
        verb, path = step.verb, step.path
        if verb == "default":
            self._default(place, step, defaults)
            return
        if path not in self._old:
            remedy = _nearest(path, self._old, f"{self._spec.from_} has: {', '.join(self._old) or 'none'}")
            self._add((*place, verb), f"{self._spec.from_} has no path '{path}'", remedy, "unknown_path")
            return
        if verb == "unit":
            units_told[path] = index
            return
        if path in gone:
            self._add((*place, verb), f"'{path}' is in another step already: {gone[path]}", "Keep one of them, or `split` it", "path_twice")
            return
        gone[path] = step
        if path in self._new:
            message = f"{self._spec.to} has '{path}' too: of a stored record nobody could tell which is meant"
            self._add((*place, verb), message, f"Leave '{path}' as it is, or give what {self._spec.to} calls so another name", "name_taken")
        for new, text in step.makes.items():
            where: Location = (*place, "into", new) if verb == "split" else (*place, "to")
            if self._is_free(new, where, forward):
                way = (
                    self._same(where, step, new)
                    if text is None
                    else self._computed(where if verb == "split" else (*place, "as"), text, path, new)
                )
                if way is not None:
                    forward[new] = way
                    if text is None:
                        backward[path] = Way(new)
        if step.back is not None:
            self._back(place, step, backward)

    def _is_free(self, new: str, where: Location, forward: Mapping[str, Way]) -> bool:
        if new not in self._new:
            remedy = _nearest(new, self._new, f"{self._spec.to} has: {', '.join(self._new) or 'none'}")
            self._add(where, f"{self._spec.to} has no path '{new}'", remedy, "unknown_path")
        elif new in self._old:
            message = f"{self._spec.from_} has '{new}' too: of a stored record nobody could tell which is meant"
            self._add(where, message, "Choose a name that the old version does not have", "name_taken")
        elif new in forward:
            self._add(where, f"'{new}' comes from '{forward[new].path}' already", "Keep one of them", "path_twice")
        else:
            return True
        return False

    def _same(self, where: Location, step: StepSpec, new: str) -> Way | None:
        """A path that only goes by another name: the same quantity."""
        if step.verb == "move" and "/" not in new:
            self._add(where, f"'{new}' is in no component", "Write component/name, or use `rename`", "no_component")
            return None
        return Way(step.path) if self._alike(where, step.path, new) else None

    def _alike(self, where: Location, old: str, new: str) -> bool:
        """Whether what is stored under one path can be read as the other without an expression."""
        before, after = self._old[old], self._new[new]
        remedy = "`retype` it to a new name by an expression"
        for effect, what, why in value_changes(before.schema, after.schema):
            if effect == "breaking":
                self._add(where, f"'{old}': {what}: {why}", remedy, "type_changed")
                return False
        if storage_type(before.schema) != storage_type(after.schema):
            message = f"'{old}' is stored as {storage_type(before.schema)}, '{new}' as {storage_type(after.schema)}"
            self._add(where, message, remedy, "type_changed")
            return False
        if not units.compatible(before.unit, after.unit):
            what = f"'{old}' is in {before.unit or 'no unit'}, '{new}' in {after.unit or 'no unit'}: another quantity"
            self._add(where, what, remedy, "other_quantity")
            return False
        return True

    def _computed(self, where: Location, text: str, path: str, new: str) -> Way | None:
        return self._expression(where, text, self._old, path, self._new[new])

    def _back(self, place: Location, step: StepSpec, backward: dict[str, Way]) -> None:
        where: Location = (*place, "back")
        try:
            names = expressions.parse(str(step.back)).names
        except ExpressionError:
            names = ()  # told below
        wanted = [name for name in names if name in step.makes] or list(step.makes)
        if wanted[0] not in self._new:
            return  # told already
        way = self._expression(where, str(step.back), self._new, wanted[0], self._old[step.path])
        if way is not None:
            backward[step.path] = way

    def _expression(self, where: Location, text: str, scope: Mapping[str, PathInfo], path: str, target: PathInfo) -> Way | None:
        """An expression over one path, in the unit and of the type of another."""
        for info in (scope[path], target):
            if not isinstance(info.schema, Primitive | Enum) or scalar_type(info.schema) is None:
                self._add(where, f"'{info.path}' is no number, text or true or false", "`drop` it and observe it anew", "not_scalar")
                return None
        held = storage_type(target.schema)
        try:
            expression = expressions.parse(text)
            if expression.names != (path,):
                used = ", ".join(expression.names) or "none"
                message = f"an expression is over '{path}' alone, this one is over: {used}"
                self._add(where, message, "What several paths make together is a derived value: see derived/*.yaml", "other_paths")
                return None
            checked = expression.check({path: Type(KINDS[storage_type(scope[path].schema)], scope[path].unit)})
            if checked.type.kind != KINDS[held]:
                message = f"it gives a {checked.type.kind}, and '{target.path}' is a {KINDS[held]}"
                self._add(where, message, "Correct the expression, or the schema of the path", "wrong_type")
                return None
            if held in ("DOUBLE", "BIGINT"):
                checked = checked.converted(target.unit)
        except (ExpressionError, UnitError) as error:
            self._add(where, error.what, error.remedy or "See docs/reference/expressions.md", "bad_expression")
            return None
        return Way(path, checked, held)

    def _default(self, place: Location, step: StepSpec, defaults: dict[str, Any]) -> None:
        path = step.path
        info = self._new.get(path)
        if info is None:
            remedy = _nearest(path, self._new, f"{self._spec.to} has: {', '.join(self._new) or 'none'}")
            self._add((*place, "default"), f"{self._spec.to} has no path '{path}'", remedy, "unknown_path")
        elif info.kind != "property":
            self._add((*place, "default"), f"'{path}' is telemetry, which is observed", "Give a default to a property", "not_a_property")
        elif path in self._old:
            self._add((*place, "default"), f"{self._spec.from_} has '{path}' already", "Leave the step out", "path_twice")
        else:
            for problem in schema.check_value(step.value, info.schema, self._ontology.schemas):
                self._add((*place, "value"), f"'{path}': {problem.message}", problem.remedy, "bad_value")
            defaults[path] = step.value

    # --- what no step names ----------------------------------------------------------------------------------------------

    def _carried(self, forward: dict[str, Way], backward: dict[str, Way], gone: Mapping[str, StepSpec], told: Mapping[str, int]) -> None:
        for path in self._old:
            if path in gone:
                self._unit(path, gone[path], forward, told)
            elif path not in self._new:
                remedy = f"Say what becomes of it: `rename`, `move`, `retype`, `split` or `- {{drop: {path}}}`"
                self._add(("steps",), f"'{path}' of {self._spec.from_} is in no step, and {self._spec.to} has it not", remedy, "path_lost")
            elif self._alike(("steps",), path, path):
                forward[path] = backward[path] = Way(path)
                self._unit_told(path, path, told)

    def _unit(self, path: str, step: StepSpec, forward: Mapping[str, Way], told: Mapping[str, int]) -> None:
        if step.verb in ("rename", "move"):
            if str(step.to) in forward:
                self._unit_told(path, str(step.to), told)
        elif path in told:
            message = f"'{path}' is in another step already: {step}"
            self._add(
                ("steps", told[path]), message, "An expression gives the unit of the new path by itself: remove this step", "path_twice"
            )

    def _unit_told(self, old: str, new: str, told: Mapping[str, int]) -> None:
        """A unit changes where a step says so, and to what it says."""
        before, after = self._old[old].unit, self._new[new].unit
        index = told.get(old)
        if index is None:
            if before != after:
                message = f"the unit of '{old}' changes from {before or 'none'} to {after or 'none'} and no step says so"
                self._add(("steps",), message, f"Add `- {{unit: {old}, to: {after or 'none'}}}`", "unit_not_told")
            return
        where: Location = ("steps", index, "to")
        try:
            said = units.canonical(str(self._spec.steps[index].to), where=old)
        except UnitError as error:
            self._add(where, error.what, error.remedy or "Correct its name", "bad_unit")
            return
        if after is None or said != after:
            self._add(
                where, f"'{new}' of {self._spec.to} is in {after or 'no unit'}, not in {said}", f"Write {after or 'no step'}", "wrong_unit"
            )

    def _relationships(self) -> None:
        there = self._ontology.relationships(self._spec.to)
        for name, declared in self._ontology.relationships(self._spec.from_).items():
            if name not in there:
                message = f"{self._spec.to} has no relationship '{name}': the edges of twins that move would have no meaning"
                self._add(("to",), message, "Keep it in the new version", "relationship_lost")
                continue
            mine = {one.name: one for one in there[name].properties}
            for before in declared.properties:
                reason = _changed(before, mine.get(before.name))
                if reason is not None:
                    message = f"'{before.name}' of '{name}' {reason}: edges of twins that move keep what they have"
                    self._add(
                        ("to",), message, "Keep it as it is in the new version, and give what is new a new name", "relationship_changed"
                    )


def _changed(before: Property, after: Property | None) -> str | None:
    """Why a value of a relationship's property, which is kept without its unit, would be another in the new version; None: it is not."""
    if after is None:
        return "is not there any more"
    if before.unit != after.unit:
        return f"is in {after.unit or 'no unit'} and no longer in {before.unit or 'no unit'}"
    return next(
        (f"has another schema ({what})" for effect, what, _ in value_changes(before.schema, after.schema) if effect == "breaking"), None
    )


def _check_chains(read: Mapping[str, tuple[MigrationSpec, Document]], ontology: Ontology, problems: Problems) -> None:
    """Versions follow one another in a line, and a name that a version gave up never comes back."""
    before = len(problems)
    ends: tuple[tuple[str, Callable[[MigrationSpec], str]], ...] = (("from", lambda one: one.from_), ("to", lambda one: one.to))
    for place, of in ends:
        taken: dict[str, str] = {}
        for name, (spec, document) in read.items():
            other = taken.setdefault(of(spec), name)
            if other != name:
                message = f"'{other}' goes {place} {of(spec)} as well"
                problems.add(document.problem((place,), message, "Versions follow one another in one line: keep one", "two_ways"))
    if len(problems) > before:
        return
    following = {spec.from_: name for name, (spec, _) in read.items()}
    targets = {spec.to for spec, _ in read.values()}
    walked: set[str] = set()
    for first in [dtmi for dtmi in following if dtmi not in targets]:
        chain = list(_walk(first, following, read))
        walked.update(chain)
        given_up: dict[str, str] = {}
        paths = set(ontology.paths(first))
        for name in chain:
            spec, document = read[name]
            now = set(ontology.paths(spec.to))
            for path in sorted(now & given_up.keys()):
                message = f"'{path}' was given up after {given_up[path]} and comes back in {spec.to}"
                problems.add(document.problem(("to",), message, "Choose a name that no earlier version had", "name_taken"))
            given_up |= dict.fromkeys(paths - now, spec.from_)
            paths = now
    for name, (spec, document) in read.items():
        if name not in walked:
            problems.add(document.problem(("from",), f"{spec.from_} becomes itself again", "Make the newest version the last", "cycle"))


def _walk(first: str, following: Mapping[str, str], read: Mapping[str, tuple[MigrationSpec, Document]]) -> Iterator[str]:
    at = first
    while at in following:
        yield following[at]
        at = read[following[at]][0].to


def _nearest(name: str, known: Mapping[str, object], otherwise: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    return f"Did you mean '{near[0]}'?" if near else otherwise
