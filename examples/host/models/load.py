"""The kernel's load average as a first-order lag of the active tasks.

The kernel updates it every 5 s as load' = load e^(-5/T) + active (1 - e^(-5/T)) (Linux, kernel/sched/loadavg.c). With an input
that is constant for those 5 s, this continuous form is the same thing.
"""


def rhs(t, x, u, p):
    """d(load)/dt in 1/s, from x = [load], u = [active], p = [tau in s]."""
    return [(u[0] - x[0]) / p[0]]
