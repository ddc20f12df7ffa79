"""Parts of one element in several documents: no identifier has a fragment, and what the parts say is judged all the same."""

from __future__ import annotations

from typing import Any

import pytest
from tests.schema.test_rules import judged, model, prop, telemetry

LAYERING = "dtmi:dtdl:extension:layering;1"
ANNOTATION = "dtmi:dtdl:extension:annotation;2"
QUANTITIES = "dtmi:dtdl:extension:quantitativeTypes;1"


def layer(*contents: Any, version: int = 3, id: str = "dtmi:t:A;1#x", **members: Any) -> dict[str, Any]:
    part = model(version, *contents, extensions=(QUANTITIES, ANNOTATION, LAYERING) if version == 3 else (LAYERING,), **members)
    return part | {"@id": id, "@type": ["Interface", "Layer"]}


def base(*contents: Any, **members: Any) -> dict[str, Any]:
    return model(3, *contents, extensions=(QUANTITIES, ANNOTATION), **members)


def quantity(semantic: str, unit: str) -> dict[str, Any]:
    return telemetry(unit=unit) | {"@type": ["Telemetry", semantic]}


CHILD = {"@type": "Component", "name": "c", "schema": {"@id": "dtmi:t:B;1", "@type": "Interface"}}
CASES: list[tuple[str, list[Any], str]] = [
    ("a layer that adds something", [base(prop()), layer(prop(name="q"))], ""),
    ("a layer that repeats something", [base(prop()), layer(prop())], ""),
    ("a layer alone", [layer(prop())], ""),
    ("a member that another part has", [base(prop()), layer({"@type": "Property", "name": "p", "writable": True})], ""),
    ("other languages", [base(prop(description={"en": "a"})), layer(prop(description={"de": "b"}))], ""),
    ("another text", [base(prop(description="a")), layer(prop(description="b"))], "inconsistentLangStringValues"),
    ("another comment", [base(comment="a"), layer(comment="b")], "inconsistentStringValues"),
    ("another comment in the third part", [base(), layer(comment="a"), layer(comment="b", id="dtmi:t:A;1#y")], "inconsistentStringValues"),
    ("another truth", [base(prop(writable=True)), layer(prop(writable=False))], "inconsistentBooleanValues"),
    ("another schema", [base(prop("double")), layer(prop("integer"))], "inconsistentObjectValues"),
    ("another unit", [base(quantity("Length", "metre")), layer(quantity("Length", "foot"))], "inconsistentObjectValues"),
    ("another semantic type", [base(quantity("Length", "metre")), layer(quantity("Mass", "gram"))], "conflictingSupplementalTypes"),
    ("another class", [base(prop()), layer(telemetry())], "multipleMaterialTypes"),
    ("a class that can't be there", [base(CHILD), layer(telemetry() | {"@id": "dtmi:t:B;1#x", "@type": ["Telemetry", "Layer"]})],
     "incompatibleType"),
    ("another version", [base(), layer(version=4)], "inconsistentContext"),
    ("another parent", [base(prop() | {"@id": "dtmi:t:p;1"}), layer(prop() | {"@id": "dtmi:t:p;1#x", "@type": ["Property", "Layer"]},
     id="dtmi:t:B;1#x")], "inconsistentParent"),
    ("another identifier", [base(prop()), layer(prop() | {"@id": "dtmi:t:p;1#x", "@type": ["Property", "Layer"]})],
     "nonUniquePropertyValue"),
    ("the same layer twice", [base(), layer(prop()), layer(prop(name="q"))], "duplicateDefinition"),
    ("a nested element of no layer", [base(), layer(prop() | {"@id": "dtmi:t:p;1"})], "mismatchedLayers"),
    ("no type Layer", [layer() | {"@type": "Interface"}], "disallowedIdFragment"),
    ("no class, after a part that has one", [base(prop()), layer({"@type": "Layer", "name": "p"})], "layerMissingMaterialType"),
    ("no class, before", [layer({"@type": "Layer", "name": "p"}), base(prop())], "badType"),
    ("what is wrong in itself", [base(), layer(prop("strng"))], "badDtmiOrTerm objectCountBelowMin"),
    ("a name that is missing", [base(), layer({"@type": "Property", "schema": "double"})], "missingDtmiSegPropertyValue"),
    ("an annotation of nothing", [base(), layer(telemetry() | {"@type": ["Telemetry", "ValueAnnotation"]})],
     "missingSupplementalLiteralProperty"),
]  # fmt: skip


@pytest.mark.parametrize(("documents", "codes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_parts_of_an_element_are_judged_together(documents: list[Any], codes: str) -> None:
    assert judged(*documents, allow_undefined_extensions=True) == " ".join(sorted(["invalidId", *codes.split()]))


def test_a_fragment_is_all_that_is_told_of_documents_that_do_not_name_the_extension() -> None:
    part = base(prop(description="b")) | {"@id": "dtmi:t:A;1#x", "@type": ["Interface", "Layer"]}
    assert judged(base(prop(description="a")), part) == "invalidId"


@pytest.mark.parametrize("id", [["dtmi:t:p;1#x"], 7, None, "#", "dtmi:t:p;1#"])
def test_identifiers_of_any_kind_are_judged_in_layers(id: Any) -> None:
    nameless = {"@id": "dtmi:t:q;1#x", "@type": ["Property", "Layer"]}
    documents = [base(nameless), layer({"@id": id, "@type": ["Property", "Layer"]}, nameless), layer(nameless, id="dtmi:t:A;1#y")]
    assert "invalidId" in judged(*documents, allow_undefined_extensions=True)


def test_many_layers_take_time_in_proportion() -> None:
    documents = [layer(prop(name=f"p{index}"), comment="a", id=f"dtmi:t:A;1#x{index}") for index in range(500)]
    assert judged(base(comment="a"), *documents, allow_undefined_extensions=True) == "invalidId"
