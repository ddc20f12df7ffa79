"""Models of other kinds as shadows: one that can't save its state, and one that fails for one twin."""

from dataclasses import replace

from tests.simulation.shadow.line import BEGIN, MODEL, STEP, Line, body

from twinwright.clock import SECOND
from twinwright.documents import Problems, parse_text
from twinwright.errors import UsageError
from twinwright.governance.principals import SYSTEM
from twinwright.simulation.model_document import parse_model
from twinwright.simulation.shadow.consumer import Bound
from twinwright.simulation.shadow.reading import Readings

AGENTS = """import mesa


class Sum(mesa.Model):
    def __init__(self, seed=None):
        super().__init__(seed=seed)
        self.u = self.x = 0.0

    def step(self):
        self.x += self.u
"""
FAILS = "def f(t, u, p):\n    return 1 / (u[0] - 2.0)\n"


def _line(folder, text, file, code, monkeypatch, **changes):
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(code)
    problems = Problems()
    made = parse_model(parse_text(text, "models/lag.yaml", problems), folder, problems)
    assert made is not None, problems.items
    monkeypatch.setattr("tests.simulation.shadow.line.model", lambda *given: made)
    return Line(folder, **changes)


def _declared(kind, artefact):
    begin, end = MODEL.index("states:"), MODEL.index("outputs:")
    text = MODEL[:begin] + MODEL[end : MODEL.index("parameters:")] + "step: PT10S\n"
    return text.replace("kind: ode", f"kind: {kind}").replace("lag.py:rhs", artefact).replace("hold: HOLD", "hold: zero")


def test_a_model_that_cannot_save_its_state_is_replayed_from_its_start(tmp_path, monkeypatch):
    declared = _declared("agents", "agents.py:Sum")
    one = _line(tmp_path / "one", declared, "agents.py", AGENTS, monkeypatch, replay=True)
    other = _line(tmp_path / "other", declared, "agents.py", AGENTS, monkeypatch, replay=True)
    told = [body(tick, 60.0 + tick, 100.0) for tick in range(0, 21, 2)]
    one.plant.send(*told[:5])
    one.follow()
    one.plant.send(*told[5:8], *told[9:])
    one.follow()
    one.begin()
    one.plant.send(told[8])
    one.follow()
    other.plant.send(*told)
    other.follow()
    assert one.facts() == other.facts()
    assert len(one.facts()) == 22
    assert not one.states()
    one.close()
    other.close()


def test_one_whose_parameters_are_not_there_waits_for_them_and_harms_no_other(tmp_path):
    line = Line(tmp_path / "line")
    other = replace(line.shadow, spec=line.shadow.spec.model_copy(update={"name": "other", "parameters": "0123456789"}))
    line.consumer.configure([Bound(other, (1,)), Bound(line.shadow, (1, 2))], line.plant.store.last_commit(SYSTEM))
    line.plant.send(*(body(tick, 60.0, 100.0) for tick in range(0, 9, 2)))
    line.consumer.catch_up()
    line.consumer.catch_up()
    errors = {one.name: one.error for one in line.consumer.status()}
    assert errors["live"] == "" and errors["other"] and line.consumer.pause()
    assert any(source == "shadow:live" for _, _, _, source in line.facts())
    line.close()


def test_a_model_that_fails_for_one_twin_is_told_and_tried_again_while_others_go_on(tmp_path, monkeypatch):
    one = _line(tmp_path, _declared("function", "f.py:f"), "f.py", FAILS, monkeypatch)
    one.plant.send(*(body(tick, 60.0, 1.0, twin) for tick in range(0, 11, 2) for twin in ("pump-1", "pump-2")))
    one.follow()
    assert len(one.facts()) == 24
    one.plant.send(body(12, 120.0, 1.0, "pump-1"), body(12, 60.0, 1.0, "pump-2"))  # 2 l/s: a division by zero
    one.consumer.catch_up()
    [status] = one.consumer.status()
    assert "1 of 2 twins" in status.error
    assert "output 'x' is inf" in status.error
    assert {row[0] for row in one.facts() if row[2] == max(key[2] for key in one.facts())} == {2}
    one.plant.send(body(12, 180.0, 1.0, "pump-1"))  # of two that say otherwise of one time the greater counts
    one.plant.clock.advance(600 * SECOND)
    one.follow()
    assert len(one.facts()) == 28
    one.close()


def test_twins_are_read_together_and_one_whose_history_cannot_be_read_harms_only_itself(tmp_path, monkeypatch):
    line = Line(tmp_path)
    asked, taken = [], Readings.since

    def since(self, twins, ports, start):
        asked.append(list(twins))
        if 2 in twins:
            raise UsageError("the values are text, not numbers")
        return taken(self, twins, ports, start)

    line.plant.send(*(body(tick, 60.0, 1.0, twin) for tick in (0, 2, 4) for twin in ("pump-1", "pump-2")))
    line.follow()
    line.plant.send(*(body(6, 60.0, 1.0, twin) for twin in ("pump-1", "pump-2")))
    monkeypatch.setattr(Readings, "since", since)
    line.consumer.catch_up()
    [status] = line.consumer.status()
    assert asked[:3] == [[1, 2], [1], [2]]
    assert "1 of 2 twins: the values are text" in status.error
    assert {row[0] for row in line.facts() if row[2] == BEGIN + 3 * STEP * SECOND} == {1}
    monkeypatch.undo()
    line.plant.clock.advance(600 * SECOND)
    line.follow()
    assert {row[0] for row in line.facts() if row[2] == BEGIN + 3 * STEP * SECOND} == {1, 2}
    line.close()
