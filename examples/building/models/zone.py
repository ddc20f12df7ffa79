"""A zone as two heat capacities and two resistances (2R2C): the air with all that is light, and the walls.

    c_air  dair/dt  = (wall - air) / r_in + aperture * sun + heat
    c_wall dwall/dt = (air - wall) / r_in + (outdoor - wall) / r_out

Such models, and why two capacities suffice for a day: P. Bacher and H. Madsen, "Identifying suitable models for the heat
dynamics of buildings", Energy and Buildings 43(7), 2011.
"""


def rhs(t, x, u, p):
    """Per second, from x = [air, wall in degC, energy in kWh] and u = [outdoor in degC, sun in kW/m2, heat in kW, night, limit].

    p = [r_in, r_out in K/kW, c_air, c_wall in MJ/K, aperture in m2, thermostat in kW/K, setpoint in degC, setback in K, most in kW].
    The heater gives what was observed; or, with a thermostat above 0, what that asks for.
    """
    heat = u[2]
    if p[5] > 0.0:
        wanted = p[6] - p[7] * u[3]
        heat = min(max(p[5] * (wanted - x[0]), 0.0), p[8])
    inward = (x[1] - x[0]) / p[0]
    air = (inward + p[4] * u[1] + heat) / (1000.0 * p[2])
    wall = ((u[0] - x[1]) / p[1] - inward) / (1000.0 * p[3])
    return [air, wall, heat / 3600.0]
