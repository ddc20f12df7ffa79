"""The kernel's load average as a first-order lag of the runnable tasks.

The kernel updates it every 5 s as load' = load e^(-5/60) + active (1 - e^(-5/60)) (Linux, kernel/sched/loadavg.c); between
two such updates this continuous form is the same thing.
"""


def rhs(t, x, u, p):
    """d(load)/dt in 1/s, from x = [load], u = [runnable], p = [tau in s]."""
    return [(u[0] - x[0]) / p[0]]
