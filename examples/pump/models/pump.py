"""A centrifugal pump by the affinity laws, against a static head, a pipe and a valve; its bearing warms by the power lost.

Head H = h0 s^2 - k q^2 and shaft power P = idle s^3 + work s^2 q with s = n / NOMINAL, after J. F. Guelich, Centrifugal Pumps
(Springer); hydraulic power is rho g q H. With q in L/s and H in m, rho g q H is GRAVITY q H in W and rho g H is GRAVITY H in kPa.
"""

import math

NOMINAL = 1450.0  # rpm
GRAVITY = 9.81  # m/s2, of water with 1 kg/L


def rhs(t, x, u, p):
    """dx/dt from x = [flow in L/s, bearing in degC], u = [speed in rpm, valve, ambient in degC] and p in the order of pump.yaml."""
    s = u[0] / NOMINAL
    opening = min(max(u[1], 0.0), 1.0)
    flow = max(x[0], 0.0)
    surplus = max(p[0] * s * s - p[2], 0.0)  # m, of head that drives flow; below the static head the check valve is shut
    steady = opening * math.sqrt(surplus / ((p[1] + p[3]) * opening * opening + p[4]))
    shaft = p[6] * s * s * s + p[7] * s * s * flow
    hydraulic = GRAVITY * flow * (p[0] * s * s - p[1] * flow * flow) / 1000.0
    return [(steady - x[0]) / p[5], (u[2] + p[8] * (shaft - hydraulic) - x[1]) / p[9]]


def out(t, x, u, p):
    """Flow in L/s, pressure rise in kPa, bearing in degC, shaft power in kW."""
    s = u[0] / NOMINAL
    flow = max(x[0], 0.0)
    head = p[0] * s * s - p[1] * flow * flow
    return [flow, GRAVITY * head, x[1], p[6] * s * s * s + p[7] * s * s * flow]
