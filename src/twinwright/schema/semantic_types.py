"""Semantic types, their unit types and the units of each: built into DTDL v2, the QuantitativeTypes extension in v3 and v4.

Source: DTDL v2 language description, "Semantic types"; QuantitativeTypes extension v1 and v2, "Semantic types and units".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Unit type -> units. Before the bar: since DTDL v2; after it: only in the extension.
_UNITS = {
    "AccelerationUnit": "centimetrePerSecondSquared gForce metrePerSecondSquared |",
    "AngleUnit": "degreeOfArc minuteOfArc radian secondOfArc turn |",
    "AngularAccelerationUnit": "radianPerSecondSquared |",
    "AngularVelocityUnit": "degreePerSecond radianPerSecond revolutionPerMinute revolutionPerSecond |",
    "ApparentEnergyUnit": "| gigavoltAmpereHour kilovoltAmpereHour megavoltAmpereHour voltAmpereHour",
    "ApparentPowerUnit": "| gigavoltAmpere kilovoltAmpere megavoltAmpere millivoltAmpere voltAmpere",
    "AreaUnit": "acre hectare squareCentimetre squareFoot squareInch squareKilometre squareMetre squareMillimetre |",
    "CapacitanceUnit": "farad microfarad millifarad nanofarad picofarad |",
    "ChargeUnit": "coulomb | ampereHour milliampereHour",
    "CurrentUnit": "ampere microampere milliampere | kiloampere",
    "DataRateUnit": (
        "bitPerSecond bytePerSecond exbibitPerSecond exbibytePerSecond gibibitPerSecond gibibytePerSecond kibibitPerSecond "
        "kibibytePerSecond mebibitPerSecond mebibytePerSecond tebibitPerSecond tebibytePerSecond yobibitPerSecond "
        "yobibytePerSecond zebibitPerSecond zebibytePerSecond |"
    ),
    "DataSizeUnit": (
        "bit byte exbibit exbibyte gibibit gibibyte kibibit kibibyte mebibit mebibyte tebibit tebibyte yobibit yobibyte zebibit zebibyte |"
    ),
    "DensityUnit": "gramPerCubicMetre kilogramPerCubicMetre | microgramPerCubicMetre milligramPerCubicMetre",
    "EnergyUnit": (
        "electronvolt gigajoule joule kilojoule kilowattHour megaelectronvolt megajoule | britishThermalUnit gigawattHour "
        "kiloBritishThermalUnit megawattHour milliwattHour terawattHour wattHour"
    ),
    "ForceUnit": "newton ounce pound ton |",
    "FrequencyUnit": "gigahertz hertz kilohertz megahertz | millihertz",
    "IlluminanceUnit": "footcandle lux |",
    "InductanceUnit": "henry microhenry millihenry |",
    "IonizingRadiationDoseUnit": "| gray microgray microsievert milligray millisievert sievert",
    "IrradianceUnit": "| wattPerSquareMetre",
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
    "ResistanceUnit": "kiloohm megaohm milliohm ohm |",
    "SoundPressureUnit": "bel decibel |",
    "TemperatureUnit": "degreeCelsius degreeFahrenheit kelvin |",
    "TimeUnit": "day hour microsecond millisecond minute nanosecond second year |",
    "TorqueUnit": "newtonMetre |",
    "Unitless": "percent unity | partsPerBillion partsPerMillion partsPerQuadrillion partsPerTrillion",
    "VelocityUnit": (
        "centimetrePerSecond kilometrePerHour kilometrePerSecond knot metrePerHour metrePerSecond milePerHour milePerSecond |"
    ),
    "VoltageUnit": "kilovolt megavolt microvolt millivolt volt |",
    "VolumeFlowRateUnit": (
        "litrePerHour litrePerSecond millilitrePerHour millilitrePerSecond | cubicFootPerMinute cubicMetrePerHour "
        "cubicMetrePerMinute cubicMetrePerSecond gallonPerHour gallonPerMinute litrePerMinute millilitrePerMinute"
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


def _units(since_v2: bool) -> Mapping[str, frozenset[str]]:
    return MappingProxyType(
        {name: frozenset((text.split("|")[0] if since_v2 else text.replace("|", " ")).split()) for name, text in _UNITS.items()}
    )


_UNITS_V2, _UNITS_EXTENSION = _units(True), _units(False)


def unit_type(semantic_type: str, version: int) -> str | None:
    """The unit type of a semantic type in a DTDL version, or None where there is no such semantic type."""
    found = _TYPES.get(semantic_type)
    return found if found is not None or version == 2 else _TYPES_OF_EXTENSION.get(semantic_type)


def units_of(unit_type_name: str, version: int) -> frozenset[str]:
    """The names of the units of a unit type in a DTDL version."""
    return (_UNITS_V2 if version == 2 else _UNITS_EXTENSION).get(unit_type_name, frozenset())


def semantic_types(version: int) -> frozenset[str]:
    """The names of all semantic types of a DTDL version."""
    return frozenset(_TYPES) if version == 2 else frozenset(_TYPES) | frozenset(_TYPES_OF_EXTENSION)
