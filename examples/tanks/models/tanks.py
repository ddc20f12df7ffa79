"""Two tanks in series with overflow: Torricelli's law for the orifices, a ceiling for the walls.

The equations are those of the cascaded-tanks benchmark (M. Schoukens and J. P. Noel, "Three benchmarks addressing open
challenges in nonlinear system identification", IFAC-PapersOnLine 50(1), 2017), with the overflow written as flow.
"""

import math

HEIGHT = 10.0  # V, of both tanks


def rhs(t, x, u, p):
    """dx/dt in V/s, from x = [upper, lower] in V, u = [pump] in V, p = [k1, k2, k3, k4, spill]."""
    upper = min(max(x[0], 0.0), HEIGHT)
    lower = min(max(x[1], 0.0), HEIGHT)
    filling = p[3] * u[0] - p[0] * math.sqrt(upper)
    spilled = 0.0
    if x[0] >= HEIGHT and filling > 0.0:  # full: the rest goes over the wall, and partly into the lower tank
        spilled = p[4] * filling
        filling = 0.0
    rising = p[1] * math.sqrt(upper) - p[2] * math.sqrt(lower) + spilled
    if x[1] >= HEIGHT and rising > 0.0:
        rising = 0.0
    return [filling, rising]


def out(t, x, u, p):
    """The sensor: the lower tank's level in V, at most its height."""
    return [min(x[1], HEIGHT)]
