"""Programs, discrete events, agents and zero crossings: what they compute, and what is told of a definition that can't work."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from tests.simulation.kinds import BALL, BALL_PY, CROWD, CROWD_PY, LAG, LAG_M, QUEUE, QUEUE_PY, head, made, parsed, program

from twinwright.simulation.child import Failure, Limits, Success, run_in_child
from twinwright.simulation.models.executable import ExecutableModel

ENTRY, PREPARE = "twinwright.simulation.worker:run", "twinwright.simulation.worker:prepare"


def run(definition, inputs=None, *, samples=8, seed=0, parameters=None, limits=None):
    values = np.ones((samples, len(definition.inputs))) if inputs is None else np.array(inputs, np.float64).reshape(samples, -1)
    data = definition.as_data()
    payload = {"model": data, "parameters": parameters or {}, "states": {}, "times": np.arange(samples) * definition.step}
    payload |= {"inputs": values, "seed": seed}
    return run_in_child(ENTRY, payload, limits=limits, files=definition.artefacts, prepare=PREPARE, prepare_payload={"model": data})


def result(definition, **given):
    outcome = run(definition, **given)
    assert isinstance(outcome, Success), outcome
    return outcome.result


def test_octave_solves_a_lag():
    found = result(made(LAG, lag_m=LAG_M), inputs=np.full(8, 2.0))
    assert np.allclose(found["outputs"][:, 0], 2 - np.exp(-np.arange(8.0) / 3), rtol=1e-12)
    assert found["states"].tobytes() == found["outputs"].tobytes()


@pytest.fixture(scope="module")
def doubler(tmp_path_factory) -> bytes:
    """A compiled program that copies its second column, doubled."""
    folder = tmp_path_factory.mktemp("c")
    code = '#include <stdio.h>\nint main(void) { double t, u; char rest[4096]; fgets(rest, 4096, stdin); puts("y");\n'
    code += 'while (scanf("%lf,%lf", &t, &u) == 2) { fgets(rest, 4096, stdin); printf("%.17g\\n", 2 * u); } return 0; }\n'
    (folder / "d.c").write_text(code)
    subprocess.run(["cc", "-O1", "-o", folder / "d", folder / "d.c"], check=True)
    return (folder / "d").read_bytes()


def test_a_compiled_program_is_an_artefact_and_needs_nothing_of_the_machine(doubler):
    text = head("executable", artefact="program.bin", command="['{artefact}']", through="stdio")
    definition = replace(made(text, program_bin=""), artefacts={"program.bin": doubler})
    assert result(definition, inputs=np.arange(8.0))["outputs"][:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert ExecutableModel.machine(definition) == {}


def test_a_program_of_the_machine_is_part_of_what_decides_a_run():
    (digest,) = ExecutableModel.machine(program("")).values()
    assert len(digest) == 64
    assert ExecutableModel.machine(made(head("executable", command="[none-such, '{output}']"))) == {"none-such": "none"}


def test_a_program_gets_no_environment_network_or_shell():
    code = "print(sorted(os.environ), sys.argv[1:], file=sys.stderr)\nprint(json.dumps({'y': u}))"
    text = "command: [python3, '{artefact}', '$(id); *', '{{x}}']"
    definition = program(code, command=text.partition(": ")[2])
    outcome = run(definition)
    assert isinstance(outcome, Success), outcome
    assert "['$(id); *', '{x}']" in outcome.log
    assert "HOME" in outcome.log and "PWD" not in outcome.log and "USER" not in outcome.log


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("print('no json')", "refused", "not JSON"),
        ("print('[1]')", "refused", "not a JSON object"),
        ("print(json.dumps({'z': u}))", "refused", "has no 'y'"),
        ("print(json.dumps({'y': 'text'}))", "refused", "not a list of numbers"),
        ("sys.stdout.buffer.write(bytes([255]))", "refused", "not UTF-8"),
        ("open('big', 'wb').write(bytes(1 << 22))", "output", "output limit"),
        ("held = [bytearray(os.urandom(1 << 20)) for _ in range(4000)]", "memory", "allowed"),
    ],
)
def test_each_way_in_which_a_program_fails_is_told(code, kind, said):
    if kind == "output":
        code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n" + code
    outcome = run(program(code), limits=Limits(wall_seconds=30, memory_bytes=256 << 20, output_bytes=1 << 20))
    assert isinstance(outcome, Failure)
    assert (outcome.kind, said in outcome.message) == (kind, True) or (kind == "memory" and outcome.kind == "exited"), outcome


def test_a_program_that_is_not_there_is_refused_with_where_it_was_looked_for():
    outcome = run(made(head("executable", command="[none-such, '{output}']")))
    assert isinstance(outcome, Failure) and outcome.kind == "refused"
    assert "no program 'none-such'" in outcome.message and "/usr/bin" in outcome.message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"command": "[sh, '{nothing}', '{output}']"}, "stands for nothing"),
        ({"command": "[sh, '{output!r}']"}, "stands for nothing"),
        ({"command": "[sh, '{', '{output}']"}, "can't be read"),
        ({"command": "[sh]"}, "where to write"),
        ({"command": "[bin/sh, '{output}']"}, "a path from nowhere"),
        ({"command": "['{artefact}', '{output}']"}, "names {artefact}"),
        ({"command": "[sh, '{output}']", "outputs": "{t: {}}"}, "column of its own"),
    ],
)
def test_a_command_that_can_not_work_is_refused_when_it_is_checked(fields, said):
    _, problems = parsed(head("executable", **fields))
    assert [one for one in problems.items if said in one.message], problems.items


def test_a_queue_agrees_with_the_theory_of_queues():
    """M/M/1 at half load: the mean stay is 1 / (mu - lambda)."""
    single = QUEUE_PY.replace("capacity=2", "capacity=1")
    definition = made(QUEUE.replace("PT10S", "PT20000S"), queue_py=single)
    found = result(definition, samples=3, inputs=np.full(3, 0.5), parameters={"service": 1.0}, seed=3)
    assert found["outputs"][-1, 1] == pytest.approx(1 / (1 - 0.5), rel=0.1)
    assert found["outputs"][-1, 0] == pytest.approx(20_000, rel=0.05)


def test_inputs_of_an_event_model_hold_from_their_sample_on():
    code = "def build(env, u, p, rng):\n    seen = []\n    def tick():\n        while True:\n            yield env.timeout(0.5)\n"
    code += "            seen.append(u[0])\n    env.process(tick())\n    return lambda: (sum(seen),)\n"
    definition = made(head("events", artefact="e.py:build"), e_py=code)
    # Ticks at 0.5, 1.0, 1.5 ...: that at a sample's own instant belongs to the next interval.
    assert result(definition, samples=4, inputs=[1, 10, 100, 1000])["outputs"][:, 0].tolist() == [0, 1, 21, 221]


def test_agents_repeat_with_the_seed_and_follow_their_inputs():
    definition = made(CROWD, crowd_py=CROWD_PY)
    up, again = (result(definition, inputs=np.ones(8), seed=5)["outputs"] for _ in range(2))
    assert up.tobytes() == again.tobytes()
    assert np.allclose(np.diff(up[:, 0]), 1.0)
    assert np.allclose(np.diff(result(definition, inputs=np.zeros(8), seed=5)["outputs"][:, 0]), -1.0)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (CROWD, CROWD_PY.replace("class Crowd", "class Crowds"), "Did you mean"),
        (CROWD, CROWD_PY.replace("self, size, seed=None", "self, seed=None"), "takes no 'size'"),
        (CROWD.replace("crowd.py:Crowd", "crowd.py"), CROWD_PY, "names no Python class"),
        (CROWD + "states: {x: {start: 1}}\n", CROWD_PY, "in its agents"),
    ],
)
def test_an_agent_model_that_can_not_work_is_refused_when_it_is_checked(text, code, said):
    _, problems = parsed(text, crowd_py=code)
    assert [one for one in problems.items if said in str(one)], problems.items


def test_an_event_model_without_a_function_to_observe_says_so():
    outcome = run(made(head("events", artefact="e.py:build"), e_py="def build(env, u, p, rng):\n    return 3\n"))
    assert isinstance(outcome, Failure) and outcome.kind == "raised" and "no function to observe" in outcome.message


def test_a_ball_bounces_when_and_as_high_as_it_should():
    found = result(made(BALL, ball_py=BALL_PY), samples=9)
    times = {name: [at for at, one in found["events"] if one == name] for name in ("bounce", "apex")}
    fall = np.sqrt(2.0)
    assert np.allclose(times["bounce"][:3], [fall, 2 * fall, 2.5 * fall], rtol=1e-9)
    assert np.allclose(times["apex"][:2], [1.5 * fall, 2.25 * fall], rtol=1e-9)
    assert found["outputs"].min() >= -1e-9


@pytest.mark.parametrize("method", ["RK45", "Radau", "LSODA"])
def test_a_terminal_event_keeps_the_states_for_the_rest_of_the_run(method):
    text = BALL.replace(', reset: "ball.py:bounce"', ", terminal: true").replace("RK45", method)
    found = result(made(text, ball_py=BALL_PY), samples=9)
    assert [name for _, name in found["events"]] == ["bounce"]
    assert np.allclose(found["states"][3:], [0.0, -10 * np.sqrt(2)], atol=1e-6)
    assert (found["states"][3:] == found["states"][3]).all()


def test_zero_crossings_need_a_solver_that_finds_them():
    _, problems = parsed(BALL.replace("RK45", "rk4"), ball_py=BALL_PY)
    assert [one for one in problems.items if "rk4 finds no zero crossings" in one.message]
    _, problems = parsed(BALL.replace("ball.py:height", "ball.py:depth"), ball_py=BALL_PY)
    assert [one for one in problems.items if one.path == "$.events[0].when"]
