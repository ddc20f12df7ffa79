"""What the file of a composite model may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from twinwright.documents import Location, Problems, Spec, parse_text
from twinwright.simulation import registry
from twinwright.simulation.declaration import DurationText, Hold, InputSpec, ModelSpec, Name, OutputSpec, ParameterSpec

PathName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=256)]


class ComponentSpec(Spec):
    """A component: `model` (a model file beside this one) or `fmu` (an FMU, with the ports that the connections name)."""

    model: str | None = Field(default=None, description="a model file beside this one: tank.yaml")
    fmu: str | None = Field(default=None, description="an FMU beside this file, of which no model file is needed")
    run: Literal["cs", "me"] | None = Field(default=None, description="of an FMU: co-simulation where there is one, unless given")
    settings: dict[str, float | bool | str | list[float] | list[str]] = Field(
        default_factory=dict, description="of an FMU: start values of its variables, in its own units"
    )
    inputs: dict[str, float] = Field(default_factory=dict, description="inputs that are constant, in the component's units")
    parameters: dict[str, float] = Field(default_factory=dict, description="parameters that are fixed here, in the component's units")
    feedthrough: dict[str, list[str]] | None = Field(
        default=None, description="by output, the inputs it follows at the same instant, where the component doesn't say so itself"
    )


class ConnectionSpec(Spec):
    """From an output to an input; `a.y -> b.u` is the same with `hold: linear`."""

    from_: str = Field(alias="from", description="component.output")
    to: str = Field(description="component.input")
    hold: Hold = Field(default="linear", description="what lies between two communication points")

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        source, arrow, target = value.partition("->")
        if not arrow:
            raise ValueError(f"'{value}' has no arrow; write it as `a.y -> b.u`")
        return {"from": source.strip(), "to": target.strip()}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "pattern": "->"}, handler(schema)]}


class CompositeInputSpec(InputSpec):
    """An input of the whole; unit, property, range and hold are those of the first input that it feeds unless given."""

    to: str | list[str] = Field(description="component.input, or several")

    def targets(self) -> list[str]:
        return [self.to] if isinstance(self.to, str) else self.to


class CompositeOutputSpec(OutputSpec):
    """An output of the whole; unit, property and range are the component's unless given."""

    from_: str = Field(alias="from", description="component.output")


class CompositeParameterSpec(ParameterSpec):
    """One value for parameters of several components, or another value for `component.parameter`. The rest pass through as they are."""

    value: float | None = Field(default=None, description="the first component's unless given")  # type: ignore[assignment] # a number that may be left out here
    to: str | list[str] = Field(default_factory=list, description="component.parameter, or several; its own name unless given")

    def targets(self) -> list[str]:
        return [self.to] if isinstance(self.to, str) else self.to


class MasterSpec(Spec):
    """How components that depend on each other are taken from one communication point to the next."""

    algorithm: Literal["gauss-seidel", "jacobi"] = Field(default="gauss-seidel", description="in order, or all at once")
    step: DurationText | None = Field(default=None, description="between communication points; the model's step unless given")
    iterate: bool = Field(default=False, description="repeat each step of a cycle until its values agree")
    tolerance: float = Field(default=1e-9, gt=0, lt=1, description="of the iteration, relative to the value")
    max_iterations: int = Field(default=100, ge=2, le=100_000, description="after which the run fails")


class CompositeSpec(ModelSpec):
    """A model file of kind `composite`."""

    artefact: str = Field(default="", description="not used: a composite has components")
    components: Annotated[dict[Name, ComponentSpec], Field(min_length=1, max_length=200, description="by name")]
    connections: Annotated[list[ConnectionSpec], Field(max_length=10_000)] = Field(default_factory=list, description="a.y -> b.u")
    master: MasterSpec = Field(default=MasterSpec(), description="how cycles are run")
    inputs: dict[Name, CompositeInputSpec] = Field(default_factory=dict, description="of the whole")
    outputs: Annotated[dict[Name, CompositeOutputSpec], Field(min_length=1, description="of the whole")]
    parameters: dict[PathName, CompositeParameterSpec] = Field(
        default_factory=dict, description="by name; those of components are there as `component.parameter`"
    )

    def link_places(self) -> list[Location]:
        return [("connections", index) for index in range(len(self.connections))]

    def references(self) -> dict[Location, str]:
        found = super().references()
        for name, one in self.components.items():
            found |= {("components", name, key): value for key in ("model", "fmu") if (value := getattr(one, key)) is not None}
        return found

    def further_references(self, contents: Mapping[str, bytes]) -> list[tuple[Location, str]]:
        found: list[tuple[Location, str]] = []
        waiting: list[tuple[Location, str]] = [
            (("components", name, "model"), one.model) for name, one in self.components.items() if one.model
        ]
        seen: set[str] = set()
        while waiting:
            place, file = waiting.pop(0)
            if file in seen or file not in contents:
                continue
            seen.add(file)
            document = parse_text(contents[file].decode("utf-8", "replace"), file, Problems())
            kind = registry.kinds().get(str(document.data.get("kind"))) if document and isinstance(document.data, dict) else None
            spec = document.parse(kind.Spec, Problems()) if document and kind else None
            if isinstance(spec, ModelSpec):
                found += [(place, reference) for reference in spec.references().values()]
            if isinstance(spec, CompositeSpec):
                waiting += [(place, one.model) for one in spec.components.values() if one.model]
        return found
