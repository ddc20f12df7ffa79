"""Two tanks in series: Torricelli's law at the outlets, a weir at the upper rim, a ceiling at the lower one.

After the cascaded-tanks benchmark: M. Schoukens and J. P. Noel, "Three benchmarks addressing open challenges in nonlinear
system identification", IFAC-PapersOnLine 50(1), 2017. Added to its equations: a pump that gives nothing below some voltage, and
a laminar share (proportional to the head) of the flow through the long outlet of the upper tank.
"""

import math

RIM = 10.0  # V, of both tanks


def rhs(t, x, u, p):
    """dx/dt in V/s, from x = [upper, lower] in V, u = [pump] in V, p = [k1, k2, k3, k4, dead, laminar, weir, spill]."""
    upper = max(x[0], 0.0)
    lower = max(x[1], 0.0)
    outlet = math.sqrt(upper) + p[5] * upper
    spilled = p[6] * max(x[0] - RIM, 0.0)
    rising = p[1] * outlet - p[2] * math.sqrt(lower) + p[7] * spilled
    if x[1] >= RIM and rising > 0.0:
        rising = 0.0
    return [p[3] * max(u[0] - p[4], 0.0) - p[0] * outlet - spilled, rising]


def out(t, x, u, p):
    """The sensor at the lower tank, in V: it says no more than the rim."""
    return [min(x[1], RIM)]
