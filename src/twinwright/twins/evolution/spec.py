"""`migrations/*.yaml` as it is written: from one version of an interface to the next, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from twinwright.documents import Document, Problems, Spec

Verb = Literal["rename", "move", "unit", "retype", "split", "default", "drop"]
Path = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
VERBS: Final[Mapping[Verb, tuple[frozenset[str], frozenset[str]]]] = {  # what each needs beside its path, and what it may have
    "rename": (frozenset({"to"}), frozenset()),
    "move": (frozenset({"to"}), frozenset()),
    "unit": (frozenset({"to"}), frozenset()),
    "retype": (frozenset({"to", "as"}), frozenset({"back"})),
    "split": (frozenset({"into"}), frozenset({"back"})),
    "default": (frozenset({"value"}), frozenset()),
    "drop": (frozenset(), frozenset()),
}


class StepSpec(Spec):
    """One change: exactly one of `rename move unit retype split default drop`, which names a path."""

    rename: Path | None = Field(None, description="a path of the old version; `to` its name in the new one")
    move: Path | None = Field(None, description="a path of the old version; `to` its place in a component of the new one: motor/speed")
    unit: Path | None = Field(None, description="a path of the old version; `to` its unit in the new one")
    retype: Path | None = Field(None, description="a path of the old version; `as` says the value of the new path `to`")
    split: Path | None = Field(None, description="a path of the old version; `into` says the value of each new path")
    default: Path | None = Field(None, description="a new property; `value` is what twins of the old version have until told otherwise")
    drop: Path | None = Field(None, description="a path of the old version that the new one does without; its history stays")
    to: Path | None = Field(None, description="the new path, or the new unit")
    as_: str | None = Field(None, alias="as", description="in the expression language, over the old path alone")
    back: str | None = Field(None, description="the old value by an expression over one new path, for clients of the old version")
    into: dict[Path, str] | None = Field(None, min_length=1, description="new path: expression over the old path alone")
    value: Any = Field(None, description="as JSON")

    @model_validator(mode="after")
    def _one_change(self) -> StepSpec:
        verbs = [verb for verb in VERBS if getattr(self, verb) is not None]
        if len(verbs) != 1:
            said = " and ".join(verbs) if verbs else "none"
            raise ValueError(f"a step is exactly one of {', '.join(VERBS)}; here is {said}")
        needed, allowed = VERBS[verbs[0]]
        given = {"as" if name == "as_" else name for name in self.model_fields_set} - set(VERBS)
        if missing := sorted(needed - given):
            raise ValueError(f"`{verbs[0]}` needs `{missing[0]}`")
        if odd := sorted(given - needed - allowed):
            raise ValueError(f"`{verbs[0]}` has no `{odd[0]}`")
        return self

    @property
    def verb(self) -> Verb:
        return next(verb for verb in VERBS if getattr(self, verb) is not None)

    @property
    def path(self) -> str:
        """What it is about: a path of the old version, or (`default`) of the new one."""
        return str(getattr(self, self.verb))

    @property
    def makes(self) -> Mapping[str, str | None]:
        """The new paths that come of the old one, each with its expression (None: the value as it is)."""
        if self.verb == "split":
            return dict(self.into or {})
        if self.verb == "retype":
            return {str(self.to): self.as_}
        return {str(self.to): None} if self.verb in ("rename", "move") else {}

    def __str__(self) -> str:
        if self.verb == "split":
            return f"split {self.path} into {', '.join(self.into or {})}"
        if self.verb == "default":
            return f"default {self.path} = {self.value!r}"
        return f"{self.verb} {self.path}" + (f" to {self.to}" if self.to else "")


class MigrationSpec(Spec):
    """One migration. What no step names stays as it is."""

    name: Name = Field(description="how it is called in plans and in the audit")
    from_: str = Field(alias="from", description="the old version: dtmi:example:Pump;1")
    to: str = Field(description="the new version: dtmi:example:Pump;2")
    share: float = Field(1.0, ge=0.0, le=1.0, description="which part of the twins is of the new version; lowered, twins go back")
    steps: list[StepSpec] = Field(default_factory=list, max_length=1_000, description="in any order")


def parse_migration(document: Document, problems: Problems) -> MigrationSpec | None:
    """None, and every problem added, for what is none."""
    return document.parse(MigrationSpec, problems)
