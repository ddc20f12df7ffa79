"""What UCUM (ucum.org) and QUDT (qudt.org/vocab/unit) call each unit that DTDL names.

UCUM writes a force that a mass weighs as the mass times `[g]`, and a var as `V.A`: it has no units for these kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

# DTDL name, UCUM code, QUDT local name.
_ROWS = (
    "acre [acr_us] AC; ampere A A; ampereHour A.h A-HR; astronomicalUnit AU AU; bar bar BAR; becquerel Bq BQ; bel B B; "
    "bit bit BIT; bitPerSecond bit/s BIT-PER-SEC; britishThermalUnit [Btu_IT] BTU_IT; "
    "britishThermalUnitPerHour [Btu_IT]/h BTU_IT-PER-HR; byte By BYTE; bytePerSecond By/s BYTE-PER-SEC; candela cd CD; "
    "candelaPerSquareMetre cd/m2 CD-PER-M2; centimetre cm CentiM; centimetrePerSecond cm/s CentiM-PER-SEC; "
    "centimetrePerSecondSquared cm/s2 CentiM-PER-SEC2; centipoise cP CentiPOISE; centistokes cSt CentiST; coulomb C C; "
    "cubicCentimetre cm3 CentiM3; cubicCentimetrePerMinute cm3/min CentiM3-PER-MIN; "
    "cubicCentimetrePerSecond cm3/s CentiM3-PER-SEC; cubicFoot [ft_i]3 FT3; cubicFootPerMinute [ft_i]3/min FT3-PER-MIN; "
    "cubicInch [in_i]3 IN3; cubicMetre m3 M3; cubicMetrePerHour m3/h M3-PER-HR; cubicMetrePerMinute m3/min M3-PER-MIN; "
    "cubicMetrePerSecond m3/s M3-PER-SEC; day d DAY; decapascal daPa DecaPA; "
    "decapascalCubicMetrePerSecond daPa.m3/s DecaPA-M3-PER-SEC; decibel dB DeciB; degreeCelsius Cel DEG_C; "
    "degreeFahrenheit [degF] DEG_F; degreeOfArc deg DEG; degreePerSecond deg/s DEG-PER-SEC; electronvolt eV EV; "
    "exbibit Eibit ExbiBIT; exbibitPerSecond Eibit/s ExbiBIT-PER-SEC; exbibyte EiBy ExbiBYTE; "
    "exbibytePerSecond EiBy/s ExbiBYTE-PER-SEC; farad F FARAD; fluidOunce [foz_us] OZ_VOL_US; foot [ft_i] FT; "
    "footcandle [ft_i]-2.lm FC; gForce [g] G; gallon [gal_us] GAL_US; gallonPerHour [gal_us]/h GAL_US-PER-HR; "
    "gallonPerMinute [gal_us]/min GAL_US-PER-MIN; gauss G GAUSS; gibibit Gibit GibiBIT; gibibitPerSecond Gibit/s GibiBIT-PER-SEC; "
    "gibibyte GiBy GibiBYTE; gibibytePerSecond GiBy/s GibiBYTE-PER-SEC; gigabecquerel GBq GigaBQ; gigahertz GHz GigaHZ; "
    "gigajoule GJ GigaJ; gigajoulePerHour GJ/h GigaJ-PER-HR; gigavoltAmpere GV.A GigaV-A; gigavoltAmpereHour GV.A.h GigaV-A-HR; "
    "gigavoltAmpereReactive GV.A GigaV-A_Reactive; gigavoltAmpereReactiveHour GV.A.h GigaV-A_Reactive-HR; gigawatt GW GigaW; "
    "gigawattHour GW.h GigaW-HR; gram g GM; gramPerCubicMetre g/m3 GM-PER-M3; gramPerHour g/h GM-PER-HR; "
    "gramPerSecond g/s GM-PER-SEC; gray Gy GRAY; hectare har HA; hectopascal hPa HectoPA; "
    "hectopascalCubicMetrePerSecond hPa.m3/s HectoPA-M3-PER-SEC; henry H H; hertz Hz HZ; horsepower [HP] HP; hour h HR; "
    "inch [in_i] IN; inchesOfMercury [in_i'Hg] IN_HG; inchesOfWater [in_i'H2O] IN_H2O; joule J J; joulePerHour J/h J-PER-HR; "
    "joulePerSecond J/s J-PER-SEC; kelvin K K; kibibit Kibit KibiBIT; kibibitPerSecond Kibit/s KibiBIT-PER-SEC; "
    "kibibyte KiBy KibiBYTE; kibibytePerSecond KiBy/s KibiBYTE-PER-SEC; kiloBritishThermalUnit k[Btu_IT] KiloBTU_IT; "
    "kiloBritishThermalUnitPerHour k[Btu_IT]/h KiloBTU_IT-PER-HR; kiloampere kA KiloA; kilobecquerel kBq KiloBQ; "
    "kilogram kg KiloGM; kilogramPerCubicMetre kg/m3 KiloGM-PER-M3; kilogramPerHour kg/h KiloGM-PER-HR; "
    "kilogramPerSecond kg/s KiloGM-PER-SEC; kilohertz kHz KiloHZ; kilojoule kJ KiloJ; kilojoulePerHour kJ/h KiloJ-PER-HR; "
    "kilojoulePerSecond kJ/s KiloJ-PER-SEC; kilometre km KiloM; kilometrePerHour km/h KiloM-PER-HR; "
    "kilometrePerSecond km/s KiloM-PER-SEC; kilometrePerSecondSquared km/s2 KiloM-PER-SEC2; kiloohm kOhm KiloOHM; "
    "kilopascal kPa KiloPA; kilopascalCubicMetrePerSecond kPa.m3/s KiloPA-M3-PER-SEC; kilovolt kV KiloV; "
    "kilovoltAmpere kV.A KiloV-A; kilovoltAmpereHour kV.A.h KiloV-A-HR; kilovoltAmpereReactive kV.A KiloV-A_Reactive; "
    "kilovoltAmpereReactiveHour kV.A.h KiloV-A_Reactive-HR; kilowatt kW KiloW; kilowattHour kW.h KiloW-HR; "
    "kilowattHourPerYear kW.h/a KiloW-HR-PER-YR; knot [kn_i] KN; litre L L; litrePerHour L/h L-PER-HR; "
    "litrePerMinute L/min L-PER-MIN; litrePerSecond L/s L-PER-SEC; lumen lm LM; lux lx LUX; massPound [lb_av] LB; "
    "massPoundPerHour [lb_av]/h LB-PER-HR; maxwell Mx MX; mebibit Mibit MebiBIT; mebibitPerSecond Mibit/s MebiBIT-PER-SEC; "
    "mebibyte MiBy MebiBYTE; mebibytePerSecond MiBy/s MebiBYTE-PER-SEC; megabecquerel MBq MegaBQ; megaelectronvolt MeV MegaEV; "
    "megahertz MHz MegaHZ; megajoule MJ MegaJ; megajoulePerHour MJ/h MegaJ-PER-HR; megaohm MOhm MegaOHM; megavolt MV MegaV; "
    "megavoltAmpere MV.A MegaV-A; megavoltAmpereHour MV.A.h MegaV-A-HR; megavoltAmpereReactive MV.A MegaV-A_Reactive; "
    "megavoltAmpereReactiveHour MV.A.h MegaV-A_Reactive-HR; megawatt MW MegaW; megawattHour MW.h MegaW-HR; metre m M; "
    "metrePerHour m/h M-PER-HR; metrePerSecond m/s M-PER-SEC; metrePerSecondSquared m/s2 M-PER-SEC2; microampere uA MicroA; "
    "microfarad uF MicroFARAD; microgram ug MicroGM; microgramPerCubicMetre ug/m3 MicroGM-PER-M3; microgray uGy MicroGRAY; "
    "microhenry uH MicroH; micrometre um MicroM; microsecond us MicroSEC; microsievert uSv MicroSV; microvolt uV MicroV; "
    "microwatt uW MicroW; mile [mi_i] MI; milePerHour [mi_i]/h MI-PER-HR; milePerSecond [mi_i]/s MI-PER-SEC; "
    "milliampere mA MilliA; milliampereHour mA.h MilliA-HR; millibar mbar MilliBAR; millifarad mF MilliFARAD; "
    "milligram mg MilliGM; milligramPerCubicMetre mg/m3 MilliGM-PER-M3; milligray mGy MilliGRAY; millihenry mH MilliH; "
    "millihertz mHz MilliHZ; millilitre mL MilliL; millilitrePerHour mL/h MilliL-PER-HR; "
    "millilitrePerMinute mL/min MilliL-PER-MIN; millilitrePerSecond mL/s MilliL-PER-SEC; millimetre mm MilliM; "
    "millimetrePerSecond mm/s MilliM-PER-SEC; millimetrePerSecondSquared mm/s2 MilliM-PER-SEC2; "
    "millimetresOfMercury mm[Hg] MilliM_HG; milliohm mOhm MilliOHM; millipascalSecond mPa.s MilliPA-SEC; millipoise mP MilliPOISE; "
    "millisecond ms MilliSEC; millisievert mSv MilliSV; millivolt mV MilliV; millivoltAmpere mV.A MilliV-A; "
    "millivoltAmpereHour mV.A.h MilliV-A-HR; millivoltAmpereReactive mV.A MilliV-A_Reactive; milliwatt mW MilliW; "
    "milliwattHour mW.h MilliW-HR; minute min MIN; minuteOfArc ' ARCMIN; nanoampere nA NanoA; nanofarad nF NanoFARAD; "
    "nanometre nm NanoM; nanosecond ns NanoSEC; nauticalMile [nmi_i] MI_N; newton N N; newtonMetre N.m N-M; ohm Ohm OHM; "
    "ounce [oz_av].[g] OZ_F; partsPerBillion [ppb] PPB; partsPerMillion [ppm] PPM; partsPerQuadrillion 10*-15 PPQ; "
    "partsPerTrillion [pptr] PPTR; pascal Pa PA; pascalCubicMetrePerSecond Pa.m3/s PA-M3-PER-SEC; pascalSecond Pa.s PA-SEC; "
    "percent % PERCENT; picoampere pA PicoA; picofarad pF PicoFARAD; poise P POISE; pound [lbf_av] LB_F; "
    "poundPerSquareInch [psi] PSI; radian rad RAD; radianPerSecond rad/s RAD-PER-SEC; radianPerSecondSquared rad/s2 RAD-PER-SEC2; "
    "reciprocalCentimetre /cm PER-CentiM; reciprocalKilometre /km PER-KiloM; reciprocalMetre /m PER-M; "
    "reciprocalMicrometre /um PER-MicroM; reciprocalMillimetre /mm PER-MilliM; reciprocalMinute /min PER-MIN; "
    "reciprocalNanometre /nm PER-NanoM; reciprocalSecond /s PER-SEC; revolutionPerMinute {rev}/min REV-PER-MIN; "
    "revolutionPerSecond {rev}/s REV-PER-SEC; second s SEC; secondOfArc '' ARCSEC; sievert Sv SV; slug [lbf_av].s2/[ft_i] SLUG; "
    "squareCentimetre cm2 CentiM2; squareFoot [ft_i]2 FT2; squareInch [in_i]2 IN2; squareKilometre km2 KiloM2; squareMetre m2 M2; "
    "squareMetrePerSecond m2/s M2-PER-SEC; squareMillimetre mm2 MilliM2; stokes St ST; tebibit Tibit TebiBIT; "
    "tebibitPerSecond Tibit/s TebiBIT-PER-SEC; tebibyte TiBy TebiBYTE; tebibytePerSecond TiBy/s TebiBYTE-PER-SEC; "
    "terawattHour TW.h TeraW-HR; tesla T T; ton [ston_av].[g] TON_F_US; tonOfRefrigeration 12000.[Btu_IT]/h TON_FG; tonne t TONNE; "
    "turn circ REV; unity 1 UNITLESS; volt V V; voltAmpere V.A V-A; voltAmpereHour V.A.h V-A-HR; "
    "voltAmpereReactive V.A V-A_Reactive; voltAmpereReactiveHour V.A.h V-A_Reactive-HR; watt W W; wattHour W.h W-HR; "
    "wattPerSquareMetre W/m2 W-PER-M2; weber Wb WB; year a YR; yobibit Yibit YobiBIT; yobibitPerSecond Yibit/s YobiBIT-PER-SEC; "
    "yobibyte YiBy YobiBYTE; yobibytePerSecond YiBy/s YobiBYTE-PER-SEC; zebibit Zibit ZebiBIT; "
    "zebibitPerSecond Zibit/s ZebiBIT-PER-SEC; zebibyte ZiBy ZebiBYTE; zebibytePerSecond ZiBy/s ZebiBYTE-PER-SEC"
)


@dataclass(frozen=True, slots=True)
class Codes:
    """A unit in other vocabularies: the code of UCUM, and the local name of QUDT (`KiloPA` for `unit:KiloPA`)."""

    ucum: str
    qudt: str


CODES: Mapping[str, Codes] = MappingProxyType({name: Codes(ucum, qudt) for name, ucum, qudt in (row.split() for row in _ROWS.split("; "))})
# Back to DTDL. Where several units share a code (VA and var, revolution and turn) the plainer name comes last, and counts.
FROM_UCUM: Mapping[str, str] = MappingProxyType({CODES[name].ucum: name for name in sorted(CODES, key=len, reverse=True)})
FROM_QUDT: Mapping[str, str] = MappingProxyType({CODES[name].qudt: name for name in sorted(CODES, key=len, reverse=True)})
