"""Two tanks in series with overflow: Torricelli's law at the outlets, a weir at the upper rim, a ceiling at the lower one.

After M. Schoukens and J. P. Noel, "Three benchmarks addressing open challenges in nonlinear system identification" (2017). The linear
loss of the lower tank stands for what Torricelli's law leaves out there (friction, and a sensor whose zero is not the outlet's height).
"""

import math

RIM = 10.0  # V, of both tanks


def rhs(t, x, u, p):
    """dx/dt in V/s, from x = [upper, lower] in V, u = [pump] in V, p = [k1, k2, k3, k4, loss, weir, share]."""
    outlet = p[0] * math.sqrt(max(x[0], 0.0))
    spilled = p[5] * max(x[0] - RIM, 0.0)
    rising = p[1] * math.sqrt(max(x[0], 0.0)) + p[6] * spilled - p[2] * math.sqrt(max(x[1], 0.0)) - p[4] * x[1]
    if x[1] >= RIM and rising > 0.0:
        rising = 0.0
    return [p[3] * u[0] - outlet - spilled, rising]


def out(t, x, u, p):
    """The sensor at the lower tank, in V: it saturates at the rim."""
    return [min(x[1], RIM)]
