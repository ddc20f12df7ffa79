"""What a contract says of how values are written: scales, offsets, signs, units given beside, expressions and their fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from twinwright.documents import Spec


class MessageUnitSpec(Spec):
    """A unit that every message gives itself. Names and symbols of DTDL and the common ones of QUDT and UCUM are known."""

    field: str = Field(min_length=1, description="the field that holds the unit")
    names: dict[str, str] = Field(
        default_factory=dict, max_length=1_000, description="what the source calls units to what they are: {grad: degC}"
    )


class FieldSpec(Spec):
    """A field of the payload as expressions see it."""

    type: Literal["number", "boolean", "text"] = Field("number", description="what it is read as")
    unit: str | None = Field(None, description="of a number; none: dimensionless")

    @model_validator(mode="after")
    def _only_numbers_have_units(self) -> FieldSpec:
        if self.type != "number" and self.unit is not None:
            raise ValueError(f"'{self.type}' has no unit; remove `unit` or make it a number")
        return self


class ConventionSpec(Spec):
    """How the value of an observation follows from the payload: `field`, then `scale`, `offset`, `sign`; or `compute`."""

    compute: str | None = Field(None, min_length=1, description="in place of `field`: an expression over fields, as p_abs - 101.325 kPa")
    scale: float | None = Field(None, description="the field times this")
    offset: float | None = Field(None, description="and plus this, in `unit`")
    sign: Literal["inverted"] | None = Field(None, description="`inverted`: the source counts the other way round")

    @property
    def is_linear(self) -> bool:
        """Whether the field's number is scaled, shifted or turned round."""
        return self.scale is not None or self.offset is not None or self.sign is not None
