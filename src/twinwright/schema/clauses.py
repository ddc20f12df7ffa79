"""Which part of the specification each problem is about.

Names of sections are those of "DTDL Language Specification" (versions 2, 3 and 4) and of the documents of its extensions.
"""

from __future__ import annotations

_DOCUMENT = "Model completeness; DTDL element: a document is a JSON object, or an array of them"
_CONTEXT = 'Context: "@context" names a version of DTDL first, then its extensions, each as a DTMI with a version'
_LIMITS = "Extensions, limit extensions: a limits context follows dtmi:dtdl:context;4#limitless at once"
_IDENTIFIER = "Digital Twin Model Identifier"
_TYPE = 'DTDL element: "@type" includes one material type that is allowed there, and co-types that its contexts define'
_COTYPE = "Language extensions: an adjunct or semantic type is for certain classes, versions and other types"
_MEMBER = "DTDL element: members other than those listed for the class"
_REQUIRED = "DTDL element: members that are required"
_STRING = "Representational string"
_INTEGER = "Representational integer"
_BOOLEAN = "Representational boolean"
_LITERAL = "Representational literal"
_TEXT = "Localizable string"
_REFERENCE = "DTDL element, partitions and referenceability"
_DEPTH = "Limits and exclusions"
_UNIQUE = "DTDL element: names and identifiers are unique among their siblings"
_UNIT = "Semantic types and units: a unit is one of the unit type of the semantic type, on a numeric schema"
_LAYER = "Digital Twin Model Identifier: parts of one element in several layers are not part of this version"

_BY_CLAUSE: dict[str, str] = {
    _DOCUMENT: "notJsonObject invalidJson tooLarge topLevelGraphDisallowed graphDisallowed keywordDisallowed topLevelKeywordDisallowed "
    "duplicatePropertyName partitionTooLarge",
    _CONTEXT: "missingContext emptyContext missingDtdlContext invalidContext disallowedLocalContext invalidContextSpecifier "
    "invalidContextSpecifierForVersion missingContextVersion nonDtmiContextSpecifier unrecognizedContextVersion "
    "disallowedContextVersion unresolvableContextVersion unresolvableContextSpecifier dtdlContextFollowsAffiliate "
    "disallowedVersionDefinition disallowedVersionReference localTermReserved localTermInvalid localTermEmpty localTermSchemePrefix "
    "localTermDefinitionInvalidDtmi localTermDefinitionInvalidUri termDefinitionNotStringOrObject termDefinitionMissingIdProperty "
    "termDefinitionIdPropertyNotString localContextNotLast",
    _LIMITS: "missingLimitContext misplacedLimitContext disallowedLimitContext disallowedContextFragment invalidContextFragment",
    _IDENTIFIER: "invalidId idNotString idTooLong idTooLongForType reservedId missingTopLevelId missingRequiredId duplicateDefinition "
    "undefinedReservedId identifierNotString identifierNotDtmi identifierTooLong identifierMultipleValues identifierCountBelowMin",
    _TYPE: "badType typeNotRootable multipleMaterialTypes typeInvalidDtmi typeIrrelevantDtmiOrTerm typeNotDtmiNorTerm "
    "typeUndefinedTerm abstractSupplementalType",
    _COTYPE: "invalidCotype invalidCotypeVersion missingCocotype disallowedCocotype parentMissingCotype siblingMissingCotype "
    "siblingDuplicatesCotype conflictingSupplementalTypes notSiblingRequiredType disallowedType multipleReference "
    "matchingPropertyNotSupplemental noMatchingSupplementalProperty siblingPropertyMismatch missingSupplementalLiteralProperty "
    "missingSupplementalObjectProperty missingSupplementalIdentifierProperty incorrectPropertyValue nonConformantPropertyValue "
    "durationInvalid durationNotString durationMultipleValues durationCountBelowMin numericNotNumeric numericMultipleValues "
    "numericCountBelowMin",
    _MEMBER: "noTypeThatAllows inferredTypeDoesNotAllow propertyInvalidDtmi propertyIrrelevantDtmiOrTerm propertyNotDtmiNorTerm "
    "propertyUndefinedTerm",
    _REQUIRED: "missingObjectProperty missingLiteralProperty missingDtmiSegPropertyValue dtmiSegPropertyNotStringOrNumber "
    "missingDictKeyPropertyValue propertyValueNull objectCountBelowMin objectMultipleValues objectCountAboveMax",
    _STRING: "stringNotString stringTooLong stringInvalid stringMultipleValues stringCountBelowMin stringObjectNoValue "
    "stringTypeNotString stringValueNotString",
    _INTEGER: "integerNotInteger integerMultipleValues integerCountBelowMin integerObjectNoValue integerTypeNotInteger "
    "integerValueNotInteger valueBelowMin valueAboveMax valueBelowRange valueAboveRange valueNotExact",
    _BOOLEAN: "booleanNotBoolean booleanMultipleValues booleanCountBelowMin booleanObjectNoValue booleanTypeNotBoolean "
    "booleanValueNotBoolean",
    _LITERAL: "literalNotValid literalTypeNotSingular literalMultipleValues literalCountBelowMin literalObjectNoValue "
    "nonConformantDatatype valueObjectId valueObjectContext valueObjectGraph valueObjectLanguage valueObjectKeyword "
    "valueObjectInvalidProp",
    _TEXT: "langStringNotLangString langStringInvalidCode langStringValueNotString langStringValueTooLong langStringCodeNotUnique "
    "langStringElementNotStringOrObject langStringElementCodeNotUnique langStringElementCodeNotString langStringElementInvalidCode "
    "langStringElementNoValue langStringElementValueNotString langStringElementType langStringElementId langStringElementContext "
    "langStringElementGraph langStringElementKeyword langStringElementInvalidProp langMapObjKeyword langTagValueInLangMap",
    _REFERENCE: "unresolvedReference crossPartitionReference idReference idRefBadDtmiOrTerm refNotStringOrObject refObjectNotAllowed "
    "badDtmiOrTerm notRequiredValue",
    _DEPTH: "excessiveDepthWide excessiveDepthNarrow excessiveCount excludedType recursiveStructureWide recursiveStructureNarrow",
    _UNIQUE: "nonUniquePropertyValue nonUniqueImportedPropertyValue",
    _UNIT: "notRequiredType wrongParent",
    _LAYER: "disallowedIdFragment mismatchedLayers incompatibleType layerMissingMaterialType inconsistentContext inconsistentParent "
    "inconsistentStringValues inconsistentIntegerValues inconsistentBooleanValues inconsistentIdentifierValues "
    "inconsistentLangStringValues inconsistentObjectValues",
}
CLAUSES: dict[str, str] = {code: text for text, codes in _BY_CLAUSE.items() for code in codes.split()}


def clause(code: str) -> str | None:
    """The clause that the last part of a ValidationID is about; None for a problem that is none of the language."""
    return CLAUSES.get(code)
