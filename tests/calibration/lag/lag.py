"""A first-order lag: the simplest system with a memory."""


def rhs(t, x, u, p):
    """dx/dt, from x = [level], u = [drive], p = [tau in s, gain]."""
    return [(p[1] * u[0] - x[0]) / p[0]]
