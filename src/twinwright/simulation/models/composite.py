"""Kind `composite`: components (FMUs, and models of any kind) whose outputs are connected to each other's inputs.

Components that don't depend on each other in a cycle are run one after another, each over the whole time: nothing is guessed. Within a
cycle the master goes from one communication point to the next. `jacobi` holds every value that crosses the cycle as it was at the beginning
of the step; `gauss-seidel` gives a component what those before it have at the end already. With `iterate` the step is repeated, from the
saved states, until the values agree at its end: that solves algebraic loops, and the error falls with the square of the step.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from twinwright.documents import Document, Problems, Spec
from twinwright.simulation import plain_data, registry
from twinwright.simulation.composition.assembly import Composition
from twinwright.simulation.composition.coupling import Block
from twinwright.simulation.composition.spec import CompositeParameterSpec, CompositeSpec, MasterSpec
from twinwright.simulation.declaration import duration_seconds
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.protocol import Advance, Capabilities, Floats, Happening, ModelError, Refreshable, SimulationModel, State
from twinwright.simulation.trajectory import initial_state
from twinwright.units import Affine

_POINTS = 1e-9  # of a step: what is nearer to a whole number of communication steps is one


@dataclass(slots=True)
class _Run:
    """One `advance`: the communication points, and what is known at them so far."""

    grid: Floats
    outside: dict[str, Floats]  # inputs of the whole
    begun: bool
    states: dict[str, State]
    outputs: dict[str, Floats] = field(default_factory=dict)  # (points, outputs) of each component
    inner: dict[str, Floats] = field(default_factory=dict)  # (points, states)
    events: list[Happening] = field(default_factory=list)


class CompositeModel:
    """Components and what connects them. What it remembers is what they remember, and their outputs."""

    Spec: ClassVar[type[Spec]] = CompositeSpec

    @staticmethod
    def complete(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> tuple[Any, dict[str, Any]] | None:
        before = len(problems)
        for place, given, what in (
            (("states",), spec.states, "the states are those of its components"),
            (("artefact",), spec.artefact, "it has components"),
        ):
            if given:
                problems.add(document.problem(place, f"a composite declares no {place[0]}: {what}", "Remove it", "not_declared"))
        made = Composition(spec, document, artefacts, problems)
        made.load_parts()
        made.connect()
        full: dict[str, Any] = {"inputs": made.complete_inputs(), "outputs": made.complete_outputs()}
        full["parameters"] = made.complete_parameters(CompositeParameterSpec)
        if len(problems) != before:
            return None
        feedthrough = made.arrange()
        if len(problems) != before:
            return None
        told = [f"{name}: {text}" for name, part in made.parts.items() for text in part.definition.assumptions]
        full |= {"states": made.states(), "assumptions": [*spec.assumptions, *told]}
        return spec.model_copy(update=full), {**made.as_options(), "feedthrough": {name: list(one) for name, one in feedthrough.items()}}

    @staticmethod
    def check(spec: Any, document: Document, artefacts: Mapping[str, bytes], problems: Problems) -> None:
        """Nothing beyond what `complete` has found."""

    @staticmethod
    def feedthrough(definition: ModelDefinition) -> dict[str, tuple[str, ...]]:
        """Through its components, from output back to input."""
        return {name: tuple(needed) for name, needed in definition.options["feedthrough"].items()}

    @staticmethod
    def machine(definition: ModelDefinition) -> dict[str, str]:
        """What of the machine decides its components' numbers."""
        parts = (ModelDefinition.from_data(data) for data in definition.options["parts"].values())
        return {name: value for part in parts for name, value in registry.machine_of(part).items()}

    def __init__(self, definition: ModelDefinition, folder: Path) -> None:
        options = definition.options
        self.definition, self.options = definition, options
        self.definitions = {name: ModelDefinition.from_data(data) for name, data in options["parts"].items()}
        self.parts: dict[str, SimulationModel] = {name: registry.load_model(one, folder) for name, one in self.definitions.items()}
        self.master = MasterSpec.model_validate(options["master"])
        self.step = duration_seconds(self.master.step) if self.master.step else definition.step
        self.blocks = [Block(tuple(members), cyclic, algebraic) for members, cyclic, algebraic in options["blocks"]]
        able = [one.capabilities for one in self.parts.values()]
        self._refuse()
        self.feeds = self._feeds()
        self.warnings = tuple(f"component '{name}': {text}" for name, one in self.parts.items() for text in one.warnings)
        self.capabilities = Capabilities(
            step=definition.step if any(one.step is not None for one in able) else None,
            events=any(one.events for one in able),
            save_state=all(one.save_state for one in able),
            thread_safe=all(one.thread_safe for one in able),
            shares_process=all(one.thread_safe or one.shares_process for one in able),
            deterministic=all(one.deterministic for one in able),
            seeded=any(one.seeded for one in able),
        )

    def refresh(self) -> bool:
        """See SimulationModel."""
        able = [one for one in self.parts.values() if one.capabilities.shares_process]
        return all(isinstance(one, Refreshable) and one.refresh() for one in able)

    def _refuse(self) -> None:
        """Raises ModelError for components that can't be run as the document wants them to be."""
        for name, part in self.parts.items():
            own = part.capabilities.step
            whole = round(self.definition.step / self.step)
            if own is not None and (abs(own - self.step) > _POINTS * own or abs(whole * self.step - self.definition.step) > _POINTS * own):
                message = f"component '{name}' steps by {own:g} s alone, and the master by {self.step:g} s"
                raise ModelError("refused", message, remedy=f"Set `master: {{step: PT{own:g}S}}`, which has to divide the model's step")
        for block in self.blocks:
            for name in block.members if block.cyclic else ():
                if not self.parts[name].capabilities.save_state and (self.master.iterate or self.definitions[name].kind != "fmu"):
                    message = f"component '{name}' can't save its state, and it is in a cycle with {', '.join(block.members)}"
                    remedy = (
                        "Take `iterate` away" if self.definitions[name].kind == "fmu" else "Connect it so that nothing comes back to it"
                    )
                    raise ModelError("refused", message, remedy=remedy)

    def _feeds(self) -> dict[str, list[tuple[str, Any, Affine]]]:
        """By component and input: where its values come from ('' and an input's name, a component and a column), and their conversion."""
        columns = {name: {port.name: index for index, port in enumerate(one.outputs)} for name, one in self.definitions.items()}
        found: dict[tuple[str, str], tuple[str, Any, Affine]] = {}
        for target, port, source, output, factor, offset in self.options["wires"]:
            found[target, port] = (source, columns[source][output], Affine(factor, offset))
        for target, port, name, factor, offset in self.options["entries"]:
            found[target, port] = ("", name, Affine(factor, offset))
        for target, port, value in self.options["constants"]:
            found[target, port] = ("", None, Affine(1.0, value))
        return {name: [found[name, port.name] for port in one.inputs] for name, one in self.definitions.items()}

    # --- state -------------------------------------------------------------------------------------------------------

    def initial(self, parameters: Mapping[str, float], states: Mapping[str, float], time: float = 0.0) -> State:
        whole = initial_state(self.definition, parameters, states, time)
        values = self.definition.defaults() | dict(parameters)
        given: dict[str, dict[str, float]] = {name: dict(one) for name, one in self.options["fixed"].items()}
        for name, component, own, factor, offset in self.options["passing"]:
            given[component][own] = Affine(factor, offset).apply(values[name])
        starts: dict[str, dict[str, float]] = {name: {} for name in self.parts}
        for name, value in states.items():
            component, _, own = name.partition(".")
            starts[component][own] = value
        begun = {name: part.initial(given[name], starts[name], time) for name, part in self.parts.items()}
        return self._joined(whole, begun, {})

    def _joined(self, whole: State, states: Mapping[str, State], outputs: Mapping[str, Floats]) -> State:
        """The state of the whole; `outputs` at its time are empty before the first step."""
        rows = [[one.time, one.values, one.parameters, one.opaque] for one in states.values()]
        values = np.concatenate([one.values for one in states.values()])
        body = {"parts": rows, "outputs": [outputs[name] for name in self.parts] if outputs else []}
        return replace(whole, time=next(iter(states.values())).time, values=values, opaque=plain_data.encode(body))

    def _parted(self, state: State) -> tuple[dict[str, State], dict[str, Floats]]:
        body = plain_data.decode(state.opaque)
        states = {}
        for name, (time, values, parameters, opaque) in zip(self.parts, body["parts"], strict=True):
            seed = int(np.random.SeedSequence([state.seed, zlib.crc32(name.encode())]).generate_state(1)[0])
            states[name] = State(time, values, parameters, opaque, seed)
        return states, dict(zip(self.parts, body["outputs"], strict=True)) if body["outputs"] else {}

    # --- running -----------------------------------------------------------------------------------------------------

    def advance(self, state: State, times: Floats, inputs: Floats) -> Advance:
        states, before = self._parted(state)
        grid, samples = self._points(times)
        run = _Run(grid, self._outside(inputs, samples, grid.size), bool(before), states)
        for name, one in self.definitions.items():
            run.outputs[name], run.inner[name] = np.zeros((grid.size, len(one.outputs))), np.zeros((grid.size, len(one.states)))
            if before:
                run.outputs[name][0], run.inner[name][0] = before[name], states[name].values
        for block in self.blocks:
            if block.cyclic:
                self._side_by_side(block, run)
            else:
                self._alone(block.members[0], run)
        shown = np.empty((times.size, len(self.definition.outputs)))
        columns = {name: [port.name for port in one.outputs] for name, one in self.definitions.items()}
        for index, (_, component, port, factor, offset) in enumerate(self.options["taps"]):
            shown[:, index] = Affine(factor, offset).apply(run.outputs[component][samples, columns[component].index(port)])
        inner = np.hstack([run.inner[name][samples] for name in self.parts])
        moved = run.begun or grid.size > 1
        after = self._joined(state, run.states, {name: one[-1].copy() for name, one in run.outputs.items()}) if moved else state
        events = tuple(sorted(run.events, key=lambda one: one.time))
        return Advance(after, shown, np.ascontiguousarray(inner), events)

    def _points(self, times: Floats) -> tuple[Floats, Any]:
        """The communication points, and which of them are samples. They depend on the samples beside them alone."""
        pieces = [np.array(times[:1], np.float64)]
        for begin, end in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
            count = max(1, math.ceil((end - begin) / self.step - _POINTS))
            pieces.append(np.append(begin + (end - begin) * (np.arange(1, count) / count), end))
        return np.concatenate(pieces), np.cumsum([0, *(one.size for one in pieces[1:])])

    def _outside(self, inputs: Floats, samples: Any, size: int) -> dict[str, Floats]:
        """The inputs of the whole at the communication points, held or interpolated between the samples as declared."""
        points, found = np.arange(size), {}
        left = np.searchsorted(samples, points, side="right") - 1
        right = np.minimum(left + (points > samples[left]), samples.size - 1)
        span = np.maximum(samples[right] - samples[left], 1)
        fraction = (points - samples[left]) / span
        for index, port in enumerate(self.definition.inputs):
            column = inputs[:, index]
            moved = {"linear": fraction, "next": np.ceil(fraction), "zero": 0.0}[port.hold]
            found[port.name] = column[left] + moved * (column[right] - column[left])
        return found

    def _rows(self, name: str, run: _Run, first: int, last: int) -> Floats:
        """The inputs of a component at the points from `first` to `last`, from what is known of the others."""
        rows = np.empty((last - first + 1, len(self.feeds[name])))
        for index, (source, what, convert) in enumerate(self.feeds[name]):
            if source:
                rows[:, index] = convert.apply(run.outputs[source][first : last + 1, what])
            else:
                rows[:, index] = convert.offset if what is None else convert.apply(run.outside[what][first : last + 1])
        return rows

    def _advance(self, name: str, state: State, times: Floats, rows: Floats) -> Advance:
        try:
            return self.parts[name].advance(state, times, rows)
        except ModelError as error:
            raise ModelError(error.kind, f"component '{name}': {error.what}", remedy=error.remedy) from error

    def _alone(self, name: str, run: _Run) -> None:
        """A component that needs none of those after it, over the whole time at once."""
        found = self._advance(name, run.states[name], run.grid, self._rows(name, run, 0, run.grid.size - 1))
        kept = 1 if run.begun else 0  # what the last part of the run ended with stands
        run.outputs[name][kept:], run.inner[name][kept:], run.states[name] = found.outputs[kept:], found.states[kept:], found.state
        run.events += self._told(name, found)

    def _told(self, name: str, found: Advance) -> list[Happening]:
        return [Happening(one.time, f"{name}.{one.name}") for one in found.events]

    def _side_by_side(self, block: Block, run: _Run) -> None:
        """The components of a cycle, from one communication point to the next."""
        if not run.begun:
            self._settle(block, run)
        for k in range(run.grid.size - 1):
            for name in block.members:
                run.outputs[name][k + 1] = run.outputs[name][k]  # until it is known, a value is held
            scale = {name: np.abs(run.outputs[name][k]) for name in block.members}
            for iteration in range(self.master.max_iterations):
                found, change = self._pass(block, run, k, scale)
                if not self.master.iterate or change is None:
                    break
                if iteration + 1 == self.master.max_iterations:
                    self._give_up(change, run.grid[k + 1])
            for name, one in found.items():
                run.inner[name][k + 1], run.states[name] = one.states[-1], one.state
                run.events += self._told(name, one)

    def _pass(self, block: Block, run: _Run, k: int, scale: dict[str, Floats]) -> tuple[dict[str, Advance], str | None]:
        """One go at a step. Beside what was found: the output that is furthest from what it was taken for, None where all agree."""
        found: dict[str, Advance] = {}
        times, worst, name_of_worst = run.grid[k : k + 2], 1.0, None
        guess = {name: run.outputs[name][k + 1].copy() for name in block.members}
        for name in block.members:
            one = found[name] = self._advance(name, run.states[name], times, self._rows(name, run, k, k + 1))
            if self.master.algorithm == "gauss-seidel":
                run.outputs[name][k + 1] = one.outputs[-1]
        for name, one in found.items():
            run.outputs[name][k + 1] = one.outputs[-1]
            scale[name] = np.maximum(scale[name], np.abs(one.outputs[-1]))
            off = np.abs(one.outputs[-1] - guess[name]) / (self.master.tolerance * np.maximum(scale[name], 1e-300))
            if off.max(initial=0.0) > worst:
                worst, name_of_worst = float(off.max()), f"{name}.{self.definitions[name].outputs[int(off.argmax())].name}"
        return found, name_of_worst

    def _settle(self, block: Block, run: _Run) -> None:
        """The outputs at the beginning, which may depend on each other at once: passed on until none changes any more."""
        scale = {name: np.zeros(len(self.definitions[name].outputs)) for name in block.members}
        limit = self.master.max_iterations if block.algebraic else sum(one.size for one in scale.values()) + 1
        for _ in range(limit):
            worst = None
            for name in block.members:
                found = self._advance(name, run.states[name], run.grid[:1], self._rows(name, run, 0, 0))
                change = np.abs(found.outputs[0] - run.outputs[name][0])
                scale[name] = np.maximum(scale[name], np.abs(found.outputs[0]))
                if (change > (self.master.tolerance if block.algebraic else 0.0) * scale[name]).any():
                    worst = f"{name}.{self.definitions[name].outputs[int(change.argmax())].name}"
                run.outputs[name][0], run.inner[name][0] = found.outputs[0], found.states[0]
            if worst is None:
                return
        if block.algebraic:
            self._give_up(worst or "", run.grid[0])

    def _give_up(self, worst: str, time: float) -> None:
        message = (
            f"the values of the cycle do not agree after {self.master.max_iterations} iterations at t = {time:.9g} s: '{worst}' still moves"
        )
        raise ModelError("raised", message, remedy="Shorten `master: {step: ...}`; in an algebraic loop the gain has to be below 1")
