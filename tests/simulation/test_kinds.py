"""Every kind passes the suite that all kinds pass."""

from __future__ import annotations

from tests.simulation.kinds import BALL, BALL_PY, CROWD, CROWD_PY, LAG, LAG_M, QUEUE, QUEUE_PY, ROOM, function, made, program

from twinwright.simulation.conformance import Case, ModelConformance


class TestFunction(ModelConformance):
    def case(self) -> Case:
        units = {"inputs": "{u: {unit: V}}", "outputs": "{y: {unit: V}}"}
        milli = {"inputs": "{u: {unit: mV}}", "outputs": "{y: {unit: mV}}"}
        failing = {
            "raised": function("raise KeyError(1)"),
            "exited": function("import sys; sys.exit(3)"),
            "crashed": function("import os; os.abort()"),
            "timeout": function("while True: pass"),
            "nan": function("return (float('inf'),)"),
        }
        return Case(function("return (3 * u[0],)", **units), failing, rescaled=function("return (3 * u[0],)", **milli))


class TestOde(ModelConformance):
    def case(self) -> Case:
        text = "{name: d, version: 1, kind: ode, artefact: 'd.py:f', inputs: {u: {hold: linear}}, states: {x: {start: 1}}, "
        text += "outputs: {x: {}}, parameters: {k: {value: 0.5}}, step: PT1S}"
        failing = {
            "nan": made(text, d_py="def f(t, x, u, p):\n    return (1.0 / (x[0] - 1.0),)"),
            "raised": made(text, d_py="def f(t, x, u, p):\n    return (dict()[x[0]],)"),
        }
        return Case(made(text, d_py="def f(t, x, u, p):\n    return (p[0] * (u[0] - x[0]),)"), failing)


class TestOdeWithEvents(ModelConformance):
    def case(self) -> Case:
        # It bounces ever faster, and comes to rest at 4.24 s: in a longer run that is told, not waited for.
        return Case(made(BALL, ball_py=BALL_PY), {"refused": made(BALL.replace("PT0.5S", "PT1S"), ball_py=BALL_PY)}, samples=9)


class TestLinear(ModelConformance):
    def case(self) -> Case:
        kelvin = (
            ROOM.replace("unit: degC}}\noutputs", "unit: K}}\noutputs")
            .replace("start: 20", "start: 293.15")
            .replace("start: 15", "start: 288.15")
        )
        kelvin = kelvin.replace("[-10, 20]", "[263.15, 293.15]").replace("degC", "K").replace("W, range: [0, 2000]", "kW, range: [0, 2]")
        unstable = ROOM.replace('"-1/(Ri*Ca)"', "1.0e+6")
        return Case(made(ROOM), {"nan": made(unstable)}, rescaled=made(kelvin))


class TestDiscrete(ModelConformance):
    def case(self) -> Case:
        text = "{name: d, version: 1, kind: linear, time: discrete, inputs: {u: {}}, states: {x: {start: 1}}, outputs: {x: {}}, "
        text += "parameters: {a: {value: 0.9}}, A: [[a]], B: [[0.1]], step: PT1S}"
        return Case(made(text), {"nan": made(text.replace("[[a]]", "[['a/0']]"))})


class TestTransfer(ModelConformance):
    def case(self) -> Case:
        text = "{name: t, version: 1, kind: linear, inputs: {u: {hold: linear}}, outputs: {y: {}}, parameters: {T: {value: 3, unit: s}}, "
        text += "transfer: {y: {u: {num: [1, 2], den: [2, T, 1]}}}, step: PT1S}"
        return Case(made(text), {"nan": made(text.replace("[2, T, 1]", "[1, -1000, 1]"))})


class TestExecutable(ModelConformance):
    def case(self) -> Case:
        failing = {
            "exited": program("sys.exit(3)"),
            "crashed": program("os.abort()"),
            "nan": program("print(json.dumps({'y': [None for _ in u]}))"),
            "refused": program("print(json.dumps({'y': u[1:]}))"),
            "timeout": program("time.sleep(1000)"),
        }
        return Case(program("print(json.dumps({'y': [q['parameters']['k'] * one for one in u]}))"), failing)


class TestOctave(ModelConformance):
    def case(self) -> Case:
        failing = {"exited": made(LAG, lag_m="error('no such thing')"), "refused": made(LAG, lag_m="x = 1;")}
        return Case(made(LAG, lag_m=LAG_M), failing)


class TestEvents(ModelConformance):
    def case(self) -> Case:
        broken = QUEUE_PY.replace("seen[0] += 1", "raise ValueError('full')")
        endless = QUEUE_PY.replace("yield env.timeout(rng.exponential(1.0 / u[0]))", "yield env.timeout(0)")
        failing = {"raised": made(QUEUE, queue_py=broken), "timeout": made(QUEUE, queue_py=endless)}
        return Case(made(QUEUE, queue_py=QUEUE_PY), failing)


class TestAgents(ModelConformance):
    def case(self) -> Case:
        failing = {
            "raised": made(CROWD, crowd_py=CROWD_PY.replace("def spread", "def spreading")),
            "refused": made(CROWD, crowd_py=CROWD_PY.replace("Crowd(mesa.Model)", "Crowd(dict)")),
        }
        return Case(made(CROWD, crowd_py=CROWD_PY), failing)
