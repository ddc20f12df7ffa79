"""Places on the earth in WGS 84: geodetic (EPSG:4979), earth-centred earth-fixed (EPSG:4978), and along the axes at a reference.

Columns of coordinates are arrays of (3, rows). Latitude by B. R. Bowring, "Transformation from spatial to geographical coordinates", Survey
Review 23 (1976), repeated until it stands; height by his "The accuracy of geodetic latitude and height equations", Survey Review 28 (1985),
which is good at the poles too. Axes at a reference as in IOGP's Guidance Note 7-2, 4.1.2 (methods 9602 and 9836).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.float64]
_A: Final = 6_378_137.0  # semi-major axis in metres
_F: Final = 1 / 298.257223563
_B: Final = _A * (1 - _F)
_E2: Final = _F * (2 - _F)
_ROUNDS: Final = 5  # of Bowring's formula: two are enough near the ground
_DEEPEST: Final = 1_000_000.0  # metres from the centre; nearer, a place has no latitude of its own


def ecef_of(geodetic: Columns) -> Columns:
    """From latitude and longitude in degrees and height over the ellipsoid in metres; NaN where that is no place."""
    latitude, longitude = np.radians(geodetic[0]), np.radians(geodetic[1])
    height = geodetic[2]
    good = (np.abs(geodetic[0]) <= 90.0) & (np.abs(geodetic[1]) <= 360.0) & (height > _DEEPEST - _B)
    normal = _A / np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    across = (normal + height) * np.cos(latitude)
    made = np.stack([across * np.cos(longitude), across * np.sin(longitude), (normal * (1 - _E2) + height) * np.sin(latitude)])
    return np.where(good, made, np.nan)


def geodetic_of(ecef: Columns) -> Columns:
    """The other way round; longitude from -180 to 180. NaN near the centre of the earth."""
    x, y, z = ecef
    across = np.hypot(x, y)
    reduced = np.arctan2(_A * z, _B * across)
    latitude = reduced
    for _ in range(_ROUNDS):
        up = z + _E2 / (1 - _E2) * _B * np.sin(reduced) ** 3
        latitude = np.arctan2(up, across - _E2 * _A * np.cos(reduced) ** 3)
        reduced = np.arctan2(_B * np.sin(latitude), _A * np.cos(latitude))
    height = across * np.cos(latitude) + z * np.sin(latitude) - _A * np.sqrt(1 - _E2 * np.sin(latitude) ** 2)
    made = np.stack([np.degrees(latitude), np.degrees(np.arctan2(y, x)), height])
    return np.where(np.hypot(across, z) >= _DEEPEST, made, np.nan)


def enu_axes(latitude: float, longitude: float) -> Columns:
    """East, north and up at a place (degrees), each a row of its components in ECEF; the transpose turns back."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    return np.array(
        [
            [-np.sin(lam), np.cos(lam), 0.0],
            [-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)],
            [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)],
        ]
    )
