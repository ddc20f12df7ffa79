"""Sweeps that cover ranges by a design: what a scenario file says of them, and the points that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from twinwright.documents import Document, Problems
from twinwright.errors import UsageError
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.distributions import DESIGNS, Design, Distribution, DistributionSpec, designed, uniform

MAX_POINTS = 100_000
_WRITTEN = "Write `[low, high]`, or a distribution: `{normal: [5, 0.5]}`"
_RANGE: TypeAdapter[Any] = TypeAdapter(DistributionSpec)


def read_design(
    sweep: Mapping[str, Any], document: Document, problems: Problems
) -> tuple[tuple[Design, int] | None, dict[str, Distribution]]:
    """(which design of how many points, what it covers by name); (None, {}) for a sweep that is a grid."""
    named = [name for name in DESIGNS if name in sweep]
    if not named:
        return None, {}
    if len(named) > 1:
        problems.add(document.problem(("sweep",), "lhs and sobol exclude each other", "Keep one of them", "bad_sweep"))
        return None, {}
    size = sweep[named[0]]
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_POINTS:
        remedy = f"Write how many points, 1 to {MAX_POINTS}: `{named[0]}: 64`"
        problems.add(document.problem(("sweep", named[0]), f"{size!r} is no number of points", remedy, "bad_sweep"))
        return None, {}
    ranges = {}
    for name, given in sweep.items():
        if name != named[0]:
            one = _range(given)
            if isinstance(one, str):
                problems.add(document.problem(("sweep", name), f"'{name}': {one}", _WRITTEN, "bad_sweep"))
            else:
                ranges[name] = one
    return (named[0], size), ranges


def _range(given: Any) -> Distribution | str:
    """A range or distribution; what is wrong with it, in words."""
    if isinstance(given, list):
        numbers = [one for one in given if isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e300]
        if len(given) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
            return "not a lowest and a highest number"
        return uniform(float(numbers[0]), float(numbers[1]))
    try:
        made: Distribution = _RANGE.validate_python(given).made()
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
    return made


def design_points(
    design: tuple[Design, int], ranges: Mapping[str, Distribution], definition: ModelDefinition, seed: int, where: str
) -> list[dict[str, float]]:
    """The points of a design, by name, each in the unit of its distribution. Raises UsageError where there is nothing to cover."""
    covered = dict(ranges)
    if not covered:
        for one in definition.arguments:
            low, high = one.bounds or (None, None)
            if low is not None and high is not None and low < high:
                covered[one.name] = uniform(low, high)
    if not covered:
        remedy = "Name ranges beside it: `sweep: {lhs: 64, u.scale: [0.8, 1.2]}`"
        raise UsageError(f"the sweep has nothing to cover: no parameter of {definition.name} has bounds", where=where, remedy=remedy)
    return designed(design[0], design[1], covered, seed)


def design_warning(design: tuple[Design, int] | None) -> str | None:
    """A Sobol sequence is balanced only where its length is a power of two."""
    if design and design[0] == "sobol" and design[1] & (design[1] - 1):
        return f"{design[1]} points of a Sobol sequence are not balanced: use a power of two, such as {1 << design[1].bit_length()}"
    return None
