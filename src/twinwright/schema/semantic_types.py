"""Semantic types, their unit types and the units of each: built into DTDL v2, the QuantitativeTypes extension in v3 and v4.

An *edition* is a version of the extension: 1 (for DTDL 3), 2 and 3 (for DTDL 4); 0 is what DTDL 2 has built in.
Source: DTDL v2 language description, "Semantic types"; QuantitativeTypes extension, "Semantic types and units".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType

# Unit type -> units. Before the first bar: since DTDL 2; after it: in the extension; after a second one: in its version 3.
_UNITS = {
    "AccelerationUnit": "centimetrePerSecondSquared gForce metrePerSecondSquared || kilometrePerSecondSquared millimetrePerSecondSquared",
    "AngleUnit": "degreeOfArc minuteOfArc radian secondOfArc turn |",
    "AngularAccelerationUnit": "radianPerSecondSquared |",
    "AngularVelocityUnit": "degreePerSecond radianPerSecond revolutionPerMinute revolutionPerSecond |",
    "ApparentEnergyUnit": "| gigavoltAmpereHour kilovoltAmpereHour megavoltAmpereHour voltAmpereHour | millivoltAmpereHour",
    "ApparentPowerUnit": "| gigavoltAmpere kilovoltAmpere megavoltAmpere millivoltAmpere voltAmpere",
    "AreaUnit": "acre hectare squareCentimetre squareFoot squareInch squareKilometre squareMetre squareMillimetre |",
    "CapacitanceUnit": "farad microfarad millifarad nanofarad picofarad |",
    "ChargeUnit": "coulomb | ampereHour milliampereHour",
    "CurrentUnit": "ampere microampere milliampere | kiloampere | nanoampere picoampere",
    "DataRateUnit": (
        "bitPerSecond bytePerSecond exbibitPerSecond exbibytePerSecond gibibitPerSecond gibibytePerSecond kibibitPerSecond "
        "kibibytePerSecond mebibitPerSecond mebibytePerSecond tebibitPerSecond tebibytePerSecond yobibitPerSecond "
        "yobibytePerSecond zebibitPerSecond zebibytePerSecond |"
    ),
    "DataSizeUnit": (
        "bit byte exbibit exbibyte gibibit gibibyte kibibit kibibyte mebibit mebibyte tebibit tebibyte yobibit yobibyte zebibit zebibyte |"
    ),
    "DensityUnit": "gramPerCubicMetre kilogramPerCubicMetre | microgramPerCubicMetre milligramPerCubicMetre",
    "DynamicViscosityUnit": "|| centipoise millipascalSecond millipoise pascalSecond poise",
    "EnergyUnit": (
        "electronvolt gigajoule joule kilojoule kilowattHour megaelectronvolt megajoule | britishThermalUnit gigawattHour "
        "kiloBritishThermalUnit megawattHour milliwattHour terawattHour wattHour"
    ),
    "ForceUnit": "newton ounce pound ton |",
    "FrequencyUnit": "gigahertz hertz kilohertz megahertz | millihertz",
    "GasLeakageRateUnit": (
        "|| decapascalCubicMetrePerSecond hectopascalCubicMetrePerSecond kilopascalCubicMetrePerSecond pascalCubicMetrePerSecond"
    ),
    "IlluminanceUnit": "footcandle lux |",
    "InductanceUnit": "henry microhenry millihenry |",
    "IonizingRadiationDoseUnit": "| gray microgray microsievert milligray millisievert sievert",
    "IrradianceUnit": "| wattPerSquareMetre",
    "KinematicViscosityUnit": "|| centistokes squareMetrePerSecond stokes",
    "LengthUnit": "astronomicalUnit centimetre foot inch kilometre metre micrometre mile millimetre nanometre nauticalMile |",
    "LuminanceUnit": "candelaPerSquareMetre |",
    "LuminousFluxUnit": "lumen |",
    "LuminousIntensityUnit": "candela |",
    "MagneticFluxUnit": "maxwell weber |",
    "MagneticInductionUnit": "tesla | gauss",
    "MassFlowRateUnit": "gramPerHour gramPerSecond kilogramPerHour kilogramPerSecond | massPoundPerHour",
    "MassUnit": "gram kilogram microgram milligram slug tonne | massPound",
    "PowerUnit": (
        "gigawatt horsepower kilowatt kilowattHourPerYear megawatt microwatt milliwatt watt | britishThermalUnitPerHour "
        "gigajoulePerHour joulePerHour joulePerSecond kiloBritishThermalUnitPerHour kilojoulePerHour kilojoulePerSecond "
        "megajoulePerHour tonOfRefrigeration"
    ),
    "PressureUnit": (
        "bar inchesOfMercury inchesOfWater kilopascal millibar millimetresOfMercury pascal poundPerSquareInch | decapascal hectopascal"
    ),
    "RadioactivityUnit": "| becquerel gigabecquerel kilobecquerel megabecquerel",
    "ReactiveEnergyUnit": "| gigavoltAmpereReactiveHour kilovoltAmpereReactiveHour megavoltAmpereReactiveHour voltAmpereReactiveHour",
    "ReactivePowerUnit": (
        " | gigavoltAmpereReactive kilovoltAmpereReactive megavoltAmpereReactive millivoltAmpereReactive voltAmpereReactive"
    ),
    "ReciprocalLengthUnit": (
        "|| reciprocalCentimetre reciprocalKilometre reciprocalMetre reciprocalMicrometre reciprocalMillimetre reciprocalNanometre"
    ),
    "ReciprocalTimeUnit": "|| reciprocalMinute reciprocalSecond",
    "ResistanceUnit": "kiloohm megaohm milliohm ohm |",
    "SoundPressureUnit": "bel decibel |",
    "TemperatureUnit": "degreeCelsius degreeFahrenheit kelvin |",
    "TimeUnit": "day hour microsecond millisecond minute nanosecond second year |",
    "TorqueUnit": "newtonMetre |",
    "Unitless": "percent unity | partsPerBillion partsPerMillion partsPerQuadrillion partsPerTrillion",
    "VelocityUnit": (
        "centimetrePerSecond kilometrePerHour kilometrePerSecond knot metrePerHour metrePerSecond milePerHour milePerSecond "
        "|| millimetrePerSecond"
    ),
    "VoltageUnit": "kilovolt megavolt microvolt millivolt volt |",
    "VolumeFlowRateUnit": (
        "litrePerHour litrePerSecond millilitrePerHour millilitrePerSecond | cubicFootPerMinute cubicMetrePerHour "
        "cubicMetrePerMinute cubicMetrePerSecond gallonPerHour gallonPerMinute litrePerMinute millilitrePerMinute "
        "| cubicCentimetrePerMinute cubicCentimetrePerSecond"
    ),
    "VolumeUnit": "cubicCentimetre cubicFoot cubicInch cubicMetre fluidOunce gallon litre millilitre |",
}

# Semantic type -> unit type, as the extension has them; those of the second table are not in DTDL v2.
_TYPES = {
    "Acceleration": "AccelerationUnit", "Angle": "AngleUnit", "AngularAcceleration": "AngularAccelerationUnit",
    "AngularVelocity": "AngularVelocityUnit", "Area": "AreaUnit", "Capacitance": "CapacitanceUnit", "Current": "CurrentUnit",
    "DataRate": "DataRateUnit", "DataSize": "DataSizeUnit", "Density": "DensityUnit", "Distance": "LengthUnit",
    "ElectricCharge": "ChargeUnit", "Energy": "EnergyUnit", "Force": "ForceUnit", "Frequency": "FrequencyUnit", "Humidity": "DensityUnit",
    "Illuminance": "IlluminanceUnit", "Inductance": "InductanceUnit", "Latitude": "AngleUnit", "Length": "LengthUnit",
    "Longitude": "AngleUnit", "Luminance": "LuminanceUnit", "Luminosity": "PowerUnit", "LuminousFlux": "LuminousFluxUnit",
    "LuminousIntensity": "LuminousIntensityUnit", "MagneticFlux": "MagneticFluxUnit", "MagneticInduction": "MagneticInductionUnit",
    "Mass": "MassUnit", "MassFlowRate": "MassFlowRateUnit", "Power": "PowerUnit", "Pressure": "PressureUnit",
    "RelativeHumidity": "Unitless", "Resistance": "ResistanceUnit", "SoundPressure": "SoundPressureUnit",
    "Temperature": "TemperatureUnit", "Thrust": "ForceUnit", "TimeSpan": "TimeUnit", "Torque": "TorqueUnit", "Velocity": "VelocityUnit",
    "Voltage": "VoltageUnit", "Volume": "VolumeUnit", "VolumeFlowRate": "VolumeFlowRateUnit",
}  # fmt: skip
_TYPES_OF_EXTENSION = {
    "ApparentEnergy": "ApparentEnergyUnit", "ApparentPower": "ApparentPowerUnit", "Concentration": "Unitless", "EnergyRate": "PowerUnit",
    "IonizingRadiationDose": "IonizingRadiationDoseUnit", "Irradiance": "IrradianceUnit", "Radioactivity": "RadioactivityUnit",
    "ReactiveEnergy": "ReactiveEnergyUnit", "ReactivePower": "ReactivePowerUnit", "RelativeDensity": "Unitless",
}  # fmt: skip

_TYPES_OF_VERSION_3 = {
    "DynamicViscosity": "DynamicViscosityUnit", "Efficiency": "Unitless", "GasLeakageRate": "GasLeakageRateUnit",
    "KinematicViscosity": "KinematicViscosityUnit", "ReciprocalLength": "ReciprocalLengthUnit", "ReciprocalTime": "ReciprocalTimeUnit",
    "RelativeMeasure": "Unitless", "Scale": "Unitless", "Throttle": "Unitless",
}  # fmt: skip
_UNIT_WORDS = (
    "BinaryPrefix BinaryUnit DecimalPrefix DecimalUnit RatioUnit atto baseUnit bottomUnit centi deci exa exbi femto gibi giga hecto "
    "kibi kilo mebi mega micro milli nano pebi peta pico prefix tebi tera topUnit yobi yocto yotta zebi zepto zetta"
)
EDITIONS = (0, 1, 2, 3)
_STEPS = (1, 2, 2, 3)  # how many of the parts of each table an edition has


@lru_cache(maxsize=8)
def _types(edition: int) -> Mapping[str, str]:
    tables = (_TYPES, _TYPES_OF_EXTENSION, _TYPES_OF_VERSION_3)
    return MappingProxyType({name: unit for table in tables[: _STEPS[edition]] for name, unit in table.items()})


@lru_cache(maxsize=8)
def unit_types(edition: int) -> Mapping[str, frozenset[str]]:
    """The units of each unit type that an edition has."""
    found = {name: frozenset(" ".join(text.split("|")[: _STEPS[edition]]).split()) for name, text in _UNITS.items()}
    return MappingProxyType({name: units for name, units in found.items() if units})


def names(edition: int) -> Iterable[str]:
    """The semantic types of an edition."""
    return _types(edition).keys()


def unit_type(semantic_type: str, edition: int) -> str | None:
    """The unit type of a semantic type, or None where the edition has no such semantic type."""
    return _types(edition).get(semantic_type)


def units_of(unit_type_name: str, edition: int) -> frozenset[str]:
    """The names of the units of a unit type."""
    return unit_types(edition).get(unit_type_name, frozenset())


@lru_cache(maxsize=8)
def units(edition: int) -> frozenset[str]:
    """The names of all units of an edition."""
    return frozenset().union(*unit_types(edition).values())


@lru_cache(maxsize=8)
def words(edition: int) -> frozenset[str]:
    """What else an edition defines words for: how units are made of others, which no document can do."""
    return frozenset(f"{_UNIT_WORDS} {'QuantitativeType deka' if edition == 0 else 'SymbolicUnit UnitPrefix deca'}".split())
