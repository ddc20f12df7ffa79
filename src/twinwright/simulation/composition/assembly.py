"""A composite model as it is read: its components found, ports and units matched, and all of it as plain data for the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twinwright import units
from twinwright.documents import Document, Location, Problems
from twinwright.simulation import registry
from twinwright.simulation.composition.coupling import Block, algebraic_loops, blocks
from twinwright.simulation.composition.parts import Part, ends, fmu_part, model_part
from twinwright.simulation.declaration import Hold, StateSpec, duration_seconds
from twinwright.simulation.definition import InputPort, OutputPort, Parameter
from twinwright.simulation.model_document import affine


@dataclass(slots=True)
class Composition:
    """What a composite's document says, put together. Problems are added with the line that they come from."""

    spec: Any
    document: Document
    artefacts: Mapping[str, bytes]
    problems: Problems
    parts: dict[str, Part] = field(default_factory=dict)
    fed: dict[tuple[str, str], str] = field(default_factory=dict)  # input of a component -> what gives it its value
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    wires: list[list[Any]] = field(default_factory=list)  # target, input, source, output, factor, offset
    entries: list[list[Any]] = field(default_factory=list)  # target, input, input of the composite, factor, offset
    constants: list[list[Any]] = field(default_factory=list)  # target, input, value
    taps: list[list[Any]] = field(default_factory=list)  # output of the composite, component, output, factor, offset
    passing: list[list[Any]] = field(default_factory=list)  # parameter, component, its parameter, factor, offset
    fixed: dict[str, dict[str, float]] = field(default_factory=dict)
    order: tuple[Block, ...] = ()

    def problem(self, place: Location, message: str, remedy: str, code: str) -> None:
        self.problems.add(self.document.problem(place, message, remedy, code))

    # --- components --------------------------------------------------------------------------------------------------

    def load_parts(self) -> None:
        for name, one in self.spec.components.items():
            place: Location = ("components", name)
            if (one.model is None) == (one.fmu is None):
                self.problem(
                    place, f"component '{name}' names no model, or two", "Give `model: file.yaml` or `fmu: file.fmu`", "bad_component"
                )
            else:
                given = (self.document, self.artefacts, self.problems)
                part = model_part(name, one.model, *given) if one.model else fmu_part(name, self.spec, self.step_text, *given)
                if part is not None:
                    self.parts[name] = part

    @property
    def step_text(self) -> str:
        return str(self.spec.master.step or self.spec.step)

    # --- connections -------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        places = self.spec.link_places()
        for place, link in zip(places, self.spec.connections, strict=True):
            source, target = self._output(link.from_, place), self._input(link.to, place)
            if source is None or target is None:
                continue
            converted = self._converted(source[1].unit, target[1].unit, link.from_, link.to, place)
            if converted is not None and self._feed(target, f"the connection from {link.from_}", place):
                self.holds[target[0], target[1].name] = link.hold
                self.wires.append([target[0], target[1].name, source[0], source[1].name, *converted])
        for name, one in self.spec.components.items():
            for port, value in one.inputs.items():
                place = ("components", name, "inputs", port)
                target = self._input(f"{name}.{port}", place)
                if target is not None and self._feed(target, "a constant", place):
                    self.constants.append([name, target[1].name, value])

    def complete_inputs(self) -> dict[str, Any]:
        full = {}
        for name, one in self.spec.inputs.items():
            place: Location = ("inputs", name, "to")
            given: dict[str, Any] = {}
            for text in one.targets():
                target = self._input(text, place)
                if target is None or not self._feed(target, f"the input '{name}'", place):
                    continue
                port = target[1]
                given = given or {
                    key: getattr(port, key) for key in ("unit", "property", "range", "hold") if key not in one.model_fields_set
                }
                unit = given.get("unit", one.unit)
                converted = self._converted(unit, port.unit, name, text, place)
                if converted is not None:
                    self.holds[target[0], port.name] = given.get("hold", one.hold)
                    self.entries.append([target[0], port.name, name, *converted])
            full[name] = one.model_copy(update=given)
        for name, part in self.parts.items():
            for port in part.definition.inputs:
                if (name, port.name) not in self.fed:
                    remedy = f"Connect it, or give it a value: `inputs: {{{port.name}: 0}}` of the component"
                    self.problem(("components", name), f"input '{name}.{port.name}' is fed by nothing", remedy, "unconnected")
        return full

    def complete_outputs(self) -> dict[str, Any]:
        full = {}
        for name, one in self.spec.outputs.items():
            place: Location = ("outputs", name, "from")
            if one.state is not None:
                self.problem(("outputs", name, "state"), "an output of a composite shows a component's", "Write `from:`", "bad_output")
            source = self._output(one.from_, place)
            if source is None:
                continue
            given = {key: getattr(source[1], key) for key in ("unit", "property", "range") if key not in one.model_fields_set}
            converted = self._converted(source[1].unit, given.get("unit", one.unit), one.from_, name, place)
            if converted is not None:
                self.taps.append([name, source[0], source[1].name, *converted])
            full[name] = one.model_copy(update=given)
        return full

    def _feed(self, target: tuple[str, InputPort], what: str, place: Location) -> bool:
        key = (target[0], target[1].name)
        if key in self.fed:
            self.problem(place, f"'{key[0]}.{key[1]}' has its value from {self.fed[key]} already", "Keep one of them", "fed_twice")
            return False
        self.fed[key] = what
        return True

    def _converted(self, source: str | None, target: str | None, left: str, right: str, place: Location) -> list[float] | None:
        if not units.compatible(source, target):
            message = f"'{left}' is in {source or 'no unit'}, '{right}' in {target or 'no unit'}"
            self.problem(place, message, "Connect ports whose units have one dimension", "unit_dimension")
            return None
        return list(affine(source, target))

    def _input(self, text: str, place: Location) -> tuple[str, InputPort] | None:
        found = self._port(text, "input", place)
        return found if found and isinstance(found[1], InputPort) else None

    def _output(self, text: str, place: Location) -> tuple[str, OutputPort] | None:
        found = self._port(text, "output", place)
        return found if found and isinstance(found[1], OutputPort) else None

    def _port(self, text: str, what: str, place: Location) -> tuple[str, Any] | None:
        component, name = ends(text)
        if component not in self.spec.components or not name:
            known = ", ".join(self.spec.components)
            self.problem(place, f"'{text}' names no component's {what}", f"Write component.port; components: {known}", "unknown_name")
            return None
        part = self.parts.get(component)
        if part is None:
            return None  # that component's own problem is told already
        found = part.input(name) if what == "input" else part.output(name)
        if found is None:
            known = ", ".join(one.name for one in (part.definition.inputs if what == "input" else part.definition.outputs)) or "none"
            self.problem(place, f"component '{component}' has no {what} '{name}'", f"It has: {known}", "unknown_name")
            return None
        return component, found

    # --- parameters and states ---------------------------------------------------------------------------------------

    def complete_parameters(self, made: Any) -> dict[str, Any]:
        """Those of the document, then every parameter of a component that is neither fixed nor named there."""
        full: dict[str, Any] = {}
        taken: dict[tuple[str, str], str] = {}
        for name, one in self.spec.components.items():
            self.fixed[name] = {}
            for own, value in one.parameters.items():
                found = self._parameter(f"{name}.{own}", ("components", name, "parameters", own))
                if found is not None:
                    self.fixed[name][found[1].name] = value
                    taken[name, found[1].name] = "its component"
        for name, given in self.spec.parameters.items():
            place: Location = ("parameters", name)
            for text in given.targets() or [name]:
                found = self._parameter(text, place)
                if found is None:
                    continue
                component, own = found[0], found[1]
                if (component, own.name) in taken:
                    message = f"'{text}' has its value from {taken[component, own.name]} already"
                    self.problem(place, message, "Keep one of them", "fed_twice")
                    continue
                taken[component, own.name] = f"'{name}'"
                if name not in full:
                    update: dict[str, Any] = {"unit": own.unit} if "unit" not in given.model_fields_set else {}
                    convert = None if given.value is not None else affine_or_none(own.unit, update.get("unit", given.unit))
                    update |= {"value": convert[0] * own.value + convert[1]} if convert else {"value": given.value or 0.0}
                    update |= {"per": "run" if own.per_run else None} if given.per is None else {}
                    update |= {"bounds": own.bounds} if given.bounds is None and not given.model_fields_set & {"unit", "bounds"} else {}
                    full[name] = given.model_copy(update=update)
                converted = self._converted(full[name].unit, own.unit, name, text, place)
                if converted is not None:
                    self.passing.append([name, component, own.name, *converted])
        for component, part in self.parts.items():
            for own in part.definition.parameters:
                if (component, own.name) not in taken:
                    name = f"{component}.{own.name}"
                    full[name] = made(value=own.value, unit=own.unit, bounds=own.bounds, per="run" if own.per_run else None)
                    self.passing.append([name, component, own.name, 1.0, 0.0])
        return full

    def _parameter(self, text: str, place: Location) -> tuple[str, Parameter] | None:
        component, name = ends(text)
        if component not in self.spec.components or not name:
            self.problem(place, f"'{text}' names no component's parameter", "Write `to: component.parameter`", "unknown_name")
            return None
        part = self.parts.get(component)
        found = part.parameter(name) if part else None
        if part is not None and found is None:
            known = ", ".join(part.definition.defaults()) or "none"
            self.problem(place, f"component '{component}' has no parameter '{name}'", f"It has: {known}", "unknown_name")
        return (component, found) if found is not None else None

    def states(self) -> dict[str, StateSpec]:
        """The states of all components, as `component.state`; one that starts at a parameter starts at the parameter's new name."""
        names = {(component, own): name for name, component, own, *_ in self.passing}
        found = {}
        for component, part in self.parts.items():
            for one in part.definition.states:
                start: float | str | None = one.start
                parameter = part.definition.parameter(start) if isinstance(start, str) else None
                if parameter is not None and (component, parameter.name) in names:
                    start = names[component, parameter.name]
                elif parameter is not None:
                    start = one.scale * self.fixed[component].get(parameter.name, parameter.value) + one.offset
                found[f"{component}.{one.name}"] = StateSpec(start=start, unit=one.unit, property=one.property)
        return found

    # --- the order ---------------------------------------------------------------------------------------------------

    def arrange(self) -> dict[str, tuple[str, ...]]:
        """Find the order of the components, refuse what can't be solved, and tell which inputs each output depends on at once."""
        direct = {name: self._direct(name, part) for name, part in self.parts.items()}
        connections = [((one[2], one[3]), (one[0], one[1])) for one in self.wires]
        self.order = blocks(tuple(self.parts), connections, direct)
        for loop in () if self.spec.master.iterate else algebraic_loops(connections, direct):
            named = " -> ".join(f"{component}.{port}" for component, port in (*loop, loop[0]))
            place = next(
                place
                for place, link in zip(self.spec.link_places(), self.spec.connections, strict=True)
                if self._source(link.from_) in loop and ends(link.to)[0] in {component for component, _ in loop}
            )
            remedy = (
                "Iterate: `master: {iterate: true}`, or say `feedthrough:` of a component whose output does not follow its input at once"
            )
            self.problem(place, f"an algebraic loop: {named} depend on each other at the same instant", remedy, "algebraic_loop")
        return self._through(direct)

    def _source(self, text: str) -> tuple[str, str]:
        component, name = ends(text)
        return component, self.parts[component].labels.get(name, name)

    def _direct(self, name: str, part: Part) -> Mapping[str, tuple[str, ...]]:
        given = self.spec.components[name].feedthrough
        if given is None:
            return registry.feedthrough(part.definition)
        for output, needed in given.items():
            place: Location = ("components", name, "feedthrough", output)
            self._output(f"{name}.{output}", place)
            for one in needed:
                self._input(f"{name}.{one}", place)
        found = {part.labels.get(output, output): [part.labels.get(one, one) for one in needed] for output, needed in given.items()}
        return {one.name: tuple(found.get(one.name, ())) for one in part.definition.outputs}

    def _through(self, direct: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
        """The composite's own feedthrough: from each output back to the inputs that reach it at once."""
        wired = {(one[0], one[1]): (one[2], one[3]) for one in self.wires}
        outside = {(one[0], one[1]): one[2] for one in self.entries}
        found = {}
        for name, component, port, *_ in self.taps:
            waiting, seen, inputs = [(component, port)], set[tuple[str, str]](), []
            while waiting:
                one = waiting.pop()
                if one in seen:
                    continue
                seen.add(one)
                for needed in direct[one[0]].get(one[1], ()):
                    inputs += [outside[one[0], needed]] if (one[0], needed) in outside else []
                    waiting += [wired[one[0], needed]] if (one[0], needed) in wired else []
            found[name] = tuple(dict.fromkeys(inputs))
        return found

    def as_options(self) -> dict[str, Any]:
        """What the run needs, as plain data."""
        parts = {}
        for name, part in self.parts.items():
            inputs = tuple(replace(one, hold=self.holds.get((name, one.name), one.hold)) for one in part.definition.inputs)
            changed = replace(part.definition, inputs=inputs, artefacts={})
            if changed.kind == "fmu":
                changed = replace(changed, step=duration_seconds(self.step_text))
            parts[name] = changed.as_data()
        return {
            "parts": parts,
            "wires": self.wires,
            "entries": self.entries,
            "constants": self.constants,
            "taps": self.taps,
            "passing": self.passing,
            "fixed": self.fixed,
            "blocks": [[list(one.members), one.cyclic, one.algebraic] for one in self.order],
            "seeded": any(registry.draws_numbers(part.definition) for part in self.parts.values()),
        }


def affine_or_none(source: str | None, target: str | None) -> tuple[float, float] | None:
    """The map between two units, None where their dimensions differ: that is told elsewhere."""
    return affine(source, target) if units.compatible(source, target) else None
