"""Uncertain numbers of a scenario: distributions, and designs that cover their ranges (Latin hypercube, Sobol sequence).

A distribution is drawn by its inverse cumulative function from one number between 0 and 1, cut off at its bounds: a design's points and
an ensemble's draws then mean the same. Numbers come from a counter-based generator keyed by the seed, the member and the name, so that
neither the size of an ensemble nor the order of names in a file changes what a member gets.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from twinwright.documents import Spec
from twinwright.simulation.declaration import Range
from twinwright.simulation.protocol import Floats

Design = Literal["lhs", "sobol"]
DESIGNS: tuple[Design, ...] = ("lhs", "sobol")
_EDGE = 1e-12  # an unbounded distribution is not drawn at infinity


class DistributionSpec(Spec):
    """One of the four shapes; `bounds` cut it off. Without `unit` it is in the unit of what it is given for."""

    normal: tuple[float, float] | None = Field(default=None, description="[mean, standard deviation]")
    lognormal: tuple[float, float] | None = Field(default=None, description="[mean, standard deviation] of its natural logarithm")
    uniform: tuple[float, float] | None = Field(default=None, description="[lowest, highest]")
    triangular: tuple[float, float, float] | None = Field(default=None, description="[lowest, most likely, highest]")
    bounds: Range | None = Field(default=None, description="[lowest, highest] at which it is cut off; null: not on this side")
    unit: str | None = Field(default=None, description="the unit of its numbers")

    @model_validator(mode="after")
    def _makes_sense(self) -> DistributionSpec:
        given = [name for name in ("normal", "lognormal", "uniform", "triangular") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a distribution is one of normal, lognormal, uniform and triangular; write it as {normal: [5, 0.5]}")
        numbers = getattr(self, given[0])
        if given[0] in ("normal", "lognormal"):
            if numbers[1] <= 0:
                raise ValueError(f"the standard deviation {numbers[1]:g} is not greater than zero")
        elif not all(a <= b for a, b in itertools.pairwise(numbers)) or numbers[0] == numbers[-1]:
            raise ValueError(f"{list(numbers)} do not rise; write the lowest first")
        low, high = self.made().share_within()
        if not low < high:
            raise ValueError("nothing of the distribution lies within its bounds")
        return self

    def made(self) -> Distribution:
        kind = next(name for name in ("normal", "lognormal", "uniform", "triangular") if getattr(self, name) is not None)
        return Distribution(kind, getattr(self, kind), *(self.bounds or (None, None)), self.unit)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A shape with its numbers, cut off at `low` and `high`, in `unit` (None: that of what it is given for)."""

    kind: str
    numbers: tuple[float, ...]
    low: float | None = None
    high: float | None = None
    unit: str | None = None

    def at(self, share: float) -> float:
        """The value below which the share (0 to 1) of it lies."""
        low, high = self.share_within()
        value = self._inverse(min(max(low + share * (high - low), _EDGE), 1 - _EDGE))
        value = value if self.low is None else max(value, self.low)
        return value if self.high is None else min(value, self.high)

    def at_each(self, shares: Floats) -> list[float]:
        """As `at`, of many."""
        if self.kind == "uniform" and self.low is None and self.high is None:
            low, high = self.numbers
            values: list[float] = (low + np.clip(shares, _EDGE, 1 - _EDGE) * (high - low)).tolist()  # the same arithmetic as that of one
            return values
        return [self.at(float(one)) for one in shares]

    def share_within(self) -> tuple[float, float]:
        """How much of the uncut shape lies below each bound."""
        return (0.0 if self.low is None else self._below(self.low)), (1.0 if self.high is None else self._below(self.high))

    def _inverse(self, share: float) -> float:
        if self.kind in ("normal", "lognormal"):
            from scipy.special import ndtri

            value = self.numbers[0] + self.numbers[1] * float(ndtri(share))
            return math.exp(value) if self.kind == "lognormal" else value
        if self.kind == "uniform":
            return self.numbers[0] + share * (self.numbers[1] - self.numbers[0])
        low, mode, high = self.numbers
        turn = (mode - low) / (high - low)
        if share < turn:
            return low + math.sqrt(share * (high - low) * (mode - low))
        return high - math.sqrt((1 - share) * (high - low) * (high - mode))

    def _below(self, value: float) -> float:
        if self.kind in ("normal", "lognormal"):
            from scipy.special import ndtr

            if self.kind == "lognormal" and value <= 0:
                return 0.0
            return float(ndtr(((math.log(value) if self.kind == "lognormal" else value) - self.numbers[0]) / self.numbers[1]))
        low, high = self.numbers[0], self.numbers[-1]
        if self.kind == "uniform":
            return min(max((value - low) / (high - low), 0.0), 1.0)
        mode = self.numbers[1]
        if value <= low or value >= high:
            return float(value >= high)
        if value < mode:
            return (value - low) ** 2 / ((high - low) * (mode - low))
        return 1 - (high - value) ** 2 / ((high - low) * (high - mode))


def uniform(low: float, high: float, unit: str | None = None) -> Distribution:
    """A plain range."""
    return Distribution("uniform", (low, high), unit=unit)


def drawn(distributions: Mapping[str, Distribution], seed: int) -> dict[str, float]:
    """One value of each, in its own unit; of a name and a seed alone, whatever else is drawn."""
    values = {}
    for name, one in distributions.items():
        key = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], "big")
        values[name] = one.at(float(np.random.Generator(np.random.Philox(key=key)).random()))
    return values


def designed(design: Design, size: int, distributions: Mapping[str, Distribution], seed: int) -> list[dict[str, float]]:
    """`size` points that cover all distributions at once, seeded (scipy.stats.qmc: Latin hypercube, or scrambled Sobol sequence)."""
    from scipy.stats import qmc

    sampler = {"lhs": qmc.LatinHypercube, "sobol": qmc.Sobol}[design](len(distributions), rng=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a Sobol size should be a power of two is said by who reads the scenario
        shares: Floats = np.asarray(sampler.random(size), np.float64)
    columns = [one.at_each(shares[:, index]) for index, one in enumerate(distributions.values())]
    return [dict(zip(distributions, row, strict=True)) for row in zip(*columns, strict=True)]
