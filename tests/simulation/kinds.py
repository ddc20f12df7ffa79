"""Definitions of every kind, written as users write them, made without fixtures for the suites that ask for them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import dedent

from twinwright.documents import Problems, parse_text
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import parse_model


def parsed(text: str, **files: str | bytes) -> tuple[ModelDefinition | None, Problems]:
    """A definition and its problems; `foo_py="..."` becomes foo.py."""
    with tempfile.TemporaryDirectory() as name:
        for key, content in files.items():
            stem, _, extension = key.rpartition("_")
            path = Path(name) / f"{stem}.{extension}"
            path.write_bytes(content) if isinstance(content, bytes) else path.write_text(dedent(content))
        problems = Problems()
        document = parse_text(dedent(text), "models/model.yaml", problems)
        return (parse_model(document, Path(name), problems) if document else None), problems


def made(text: str, **files: str | bytes) -> ModelDefinition:
    definition, problems = parsed(text, **files)
    assert definition is not None, problems.items
    return definition


def function(body: str, **fields: str) -> ModelDefinition:
    """A `function` model of one input and one output."""
    return made(head("function", artefact="f.py:f", **fields), f_py=f"def f(t, u, p):\n    {body}\n")


def head(kind: str, **fields: str) -> str:
    given = {"name": "one", "version": "1", "kind": kind, "inputs": "{u: {}}", "outputs": "{y: {}}", "step": "PT1S"} | fields
    return "".join(f"{key}: {value}\n" for key, value in given.items() if value)


ROOM = """
name: room
version: 1
kind: linear
inputs:
  heat: {unit: W, range: [0, 2000], hold: zero}
  outside: {unit: degC, range: [-10, 20], hold: linear}
states: {air: {start: 20, unit: degC}, wall: {start: 15, unit: degC}}
outputs: {air: {unit: degC}}
parameters:
  R: {value: 0.02, unit: K/W}
  Ri: {value: 0.01, unit: K/W}
  Ca: {value: 50, unit: kJ/K}
  Cw: {value: 2000, unit: kJ/K}
A:
  - ["-1/(Ri*Ca)", "1/(Ri*Ca)"]
  - ["1/(Ri*Cw)", "-1/(Ri*Cw) - 1/(R*Cw)"]
B:
  - ["1/Ca", 0]
  - [0, "1/(R*Cw)"]
step: PT1M
"""

BALL_PY = """
def rhs(t, x, u, p):
    return (x[1], -p[0] + 0.0 * u[0])

def height(t, x, u, p):
    return x[0]

def bounce(t, x, u, p):
    return (0.0, -p[1] * x[1])

def apex(t, x, u, p):
    return x[1]

def gone(t, x, u, p):
    return 100.0 if x[1] > 0 or x[0] > 1e-6 else abs(x[1]) - p[2]
"""

BALL = """
name: ball
version: 1
kind: ode
artefact: ball.py:rhs
inputs: {u: {}}
states: {h: {start: 10, unit: m}, v: {start: 0, unit: m/s}}
outputs: {h: {unit: m}}
parameters: {g: {value: 10, unit: m/s**2}, e: {value: 0.5}, slow: {value: 0.01, unit: m/s}}
step: PT0.5S
solver: {method: RK45, rtol: 1.0e-9, atol: 1.0e-9}
events:
  - {name: bounce, when: "ball.py:height", direction: falling, reset: "ball.py:bounce"}
  - {name: apex, when: "ball.py:apex", direction: falling}
"""

QUEUE_PY = """
import simpy

def build(env, u, p, rng):
    server = simpy.Resource(env, capacity=2)
    seen = [0, 0.0]

    def customer():
        arrived = env.now
        with server.request() as turn:
            yield turn
            yield env.timeout(rng.exponential(p[0]))
        seen[0] += 1
        seen[1] += env.now - arrived

    def arrivals():
        while True:
            yield env.timeout(rng.exponential(1.0 / u[0]))
            env.process(customer())

    env.process(arrivals())
    return lambda: (seen[0], seen[1] / max(seen[0], 1), len(server.queue))
"""

QUEUE = """
name: queue
version: 1
kind: events
artefact: queue.py:build
inputs: {rate: {unit: 1/s, range: [0.5, 1.5]}}
outputs: {served: {}, stay: {unit: s}, waiting: {}}
parameters: {service: {value: 1.5, unit: s}}
step: PT10S
"""

CROWD_PY = """
import mesa

class Walker(mesa.Agent):
    def __init__(self, model):
        super().__init__(model)
        self.at = model.random.randrange(100)

    def step(self):
        self.at += 1 if self.random.random() < self.model.drift else -1

class Crowd(mesa.Model):
    def __init__(self, size, seed=None):
        super().__init__(seed=seed)
        self.drift = 0.5
        Walker.create_agents(self, int(size))

    def step(self):
        self.agents.shuffle_do("step")

    @property
    def mean(self):
        return sum(one.at for one in self.agents) / len(self.agents)

    def spread(self):
        return max(one.at for one in self.agents) - min(one.at for one in self.agents)
"""

CROWD = """
name: crowd
version: 1
kind: agents
artefact: crowd.py:Crowd
inputs: {drift: {range: [0, 1]}}
outputs: {mean: {}, spread: {}}
parameters: {size: {value: 20}}
step: PT1S
"""

LAG_M = """
args = argv();
fid = fopen(args{1}, "r"); header = strsplit(strtrim(fgetl(fid)), ","); fclose(fid);
data = dlmread(args{1}, ",", 1, 0);
at = @(name) find(strcmp(header, name));
t = data(:, at("t")); u = data(:, at("u")); T = data(1, at("T")); x = data(1, at("x"));
fid = fopen(args{2}, "w"); fprintf(fid, "x\\n%.17g\\n", x);
for k = 1:numel(t) - 1
  x = u(k) + (x - u(k)) * exp(-(t(k + 1) - t(k)) / T);
  fprintf(fid, "%.17g\\n", x);
end
fclose(fid);
"""

LAG = """
name: lag
version: 1
kind: executable
artefact: lag.m
command: [octave-cli, --quiet, --no-init-file, "{artefact}", "{input}", "{output}"]
inputs: {u: {}}
states: {x: {start: 1}}
outputs: {x: {}}
parameters: {T: {value: 3, unit: s}}
step: PT1S
"""


def program(code: str, **fields: str) -> ModelDefinition:
    """An executable that is a Python program: JSON through standard input and output."""
    given = {"exchange": "json", "through": "stdio", "parameters": "{k: {value: 2}}", "command": "[python3, '{artefact}']"} | fields
    text = head("executable", artefact="program.py", **given)
    return made(text, program_py="import json, os, sys, time\nq = json.load(sys.stdin)\nu = q['inputs']['u']\n" + dedent(code))
