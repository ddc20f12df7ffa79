"""Every mistake in a model or scenario file is told with what, where and remedy; none ends in a traceback."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinwright.clock import from_iso
from twinwright.documents import Problems, byte_count, parse_text
from twinwright.simulation.definition import ModelDefinition
from twinwright.simulation.model_document import check_model, parse_model
from twinwright.simulation.scenario import check_scenario, parse_scenario


@pytest.fixture
def model_problems(tmp_path, texts):
    """`model_problems(old, new)` replaces text in the tanks model and gives the problems as text."""
    (tmp_path / "tanks.py").write_text(texts.TANKS_PY)

    def find(old: str, new: str, **files: str) -> list[str]:
        assert old in texts.TANKS
        for name, content in files.items():
            (tmp_path / name.replace("_py", ".py")).write_text(content)
        problems = Problems()
        document = parse_text(texts.TANKS.replace(old, new), "models/tanks.yaml", problems)
        if document:
            assert parse_model(document, tmp_path, problems) is None
        return [str(one) for one in problems.items]

    return find


@pytest.mark.parametrize(
    ("old", "new", "line", "said", "remedy"),
    [
        ("kind: ode", "kind: odr", 4, "'odr' is not a kind of model", "function, linear, ode"),
        ("kind: ode", "", 2, "'kind' is missing", "Add `kind: ...`"),
        ("kind: ode", "kind: ode\ncolour: red", 5, "'colour' is not a field here", "Remove it"),
        ("kind: ode", "kind: ode\nassumption: []", 5, "'assumption' is not a field here", "Did you mean 'assumptions'?"),
        ("name: tanks", "name: ../x", 2, "'name'", "It is '../x' now"),
        ("tanks.py:rhs", "tanks.py:rsh", 5, "tanks.py defines no function 'rsh'", "Did you mean 'rhs'?"),
        ("tanks.py:rhs", "tanks.py", 5, "'tanks.py' names no Python function", "file.py:function"),
        ("tanks.py:rhs", "other.py:rhs", 5, "other.py can't be read: No such file", "beside this document"),
        ("tanks.py:rhs", "../tanks.py:rhs", 5, "is no file of the workspace", "below the folder"),
        ("tanks.py:rhs", "a/../../tanks.py:rhs", 5, "is no file of the workspace", "below the folder"),
        ("tanks.py:rhs", "a\\\\tanks.py:rhs", 5, "is no file of the workspace", "below the folder"),
        ("tanks.py:rhs", "/etc/passwd:rhs", 5, "is no file of the workspace", "below the folder"),
        ("output: tanks.py:out", "output: tanks.py:root", 0, "'root' takes 1 arguments, 4 are passed", "def root(t, x, u, p):"),
        ("output: tanks.py:out", "", 10, "output 'y' shows no state", "one of x1, x2"),
        ("unit: V, range: [0, 10], hold: zero", "unit: zzzq", 8, "'zzzq' is not a known unit", ""),
        ("range: [0, 10], hold: zero", "range: [10, 0]", 8, "10 is greater than 0", "[10, 0]"),
        ("hold: zero", "hold: cubic", 8, "'hold'", "'cubic'"),
        ("start: x1_0", "start: x9", 9, "'x9' is not a parameter", "k1, k2, x1_0"),
        ("x2: {property: level, unit: V}", "x2: {unit: V}", 9, "state 'x2' starts nowhere", "`start:`"),
        ("x1_0: {value: 4, unit: V", "x1_0: {value: 4, unit: s", 9, "parameter 'x1_0' is in s, 'x1' in V", "one dimension"),
        ("value: 0.5", "value: 5", 12, "the value 5 lies outside the bounds", "Change the value or the bounds"),
        ("value: 0.5", "value: .nan", 12, "finite", ""),
        ("x1_0: {value", "u: {value", 14, "'u' is also one of the inputs", "its own name"),
        ("step: PT4S", "step: 4", 15, "'step'", ""),
        ("step: PT4S", "step: PT0S", 15, "is no time at all", ""),
        ("step: PT4S", "step: 4 s", 15, "is not an ISO 8601 duration", ""),
        ("validity: {u", "validity: {w", 17, "'w' is nothing declared here", "Names: u, x1"),
        ("step: PT4S", "step: PT4S\nsolver: {method: euler}", 16, "'method'", "'euler'"),
        ("step: PT4S", "step: PT4S\nsolver: {max_step: x}", 16, "'max_step'", ""),
        ("step: PT4S", "step: PT4S\nfiles: [a.py]", 16, "a.py can't be read", ""),
        ("kind: ode", "kind: [ode]", 4, "is not a kind of model", "Installed kinds"),
        ("outputs: {y: {property: level, unit: V, range: [0, 10]}}", "outputs: {}", 10, "'outputs'", ""),
    ],
)
def test_a_mistake_in_a_model_is_told_with_line_and_remedy(model_problems, old, new, line, said, remedy):
    found = model_problems(old, new)
    assert found and said in "\n".join(found), found
    (told, *_) = [one for one in found if said in one]
    assert remedy in told
    assert told.startswith(f"models/tanks.yaml:{line}: " if line else "tanks.py:")


def test_broken_python_is_told_with_its_own_line(model_problems):
    (told,) = model_problems("name: tanks", "name: tanks", tanks_py="def rhs(t, x, u, p):\n    return (\n")[:1]
    assert told.startswith("tanks.py:2: not valid Python")
    assert "not valid Python" in model_problems("name: tanks", "name: tanks", tanks_py="x = '\0'")[0]


def test_an_ode_without_states_and_a_function_with_states_are_told(model_problems, tmp_path):
    assert "an ode has states" in "\n".join(model_problems("states: {x1: {start: x1_0, unit: V}, x2: {property: level, unit: V}}", ""))
    (tmp_path / "tanks.py").write_text("def rhs(t, u, p): ...")
    problems = Problems()
    text = "{name: f, version: 1, kind: function, artefact: 'tanks.py:rhs', states: {s: {start: 0}}, outputs: {y: {}}, step: PT1S}"
    assert parse_model(parse_text(text, "f.yaml", problems), tmp_path, problems) is None
    assert "a function has no states" in str(problems.items[0])


def test_ports_are_checked_against_the_interface(model, paths, texts):
    problems = Problems()
    check_model(model(), paths, problems, parse_text(texts.TANKS, "models/tanks.yaml", problems))
    assert not problems
    wrong = texts.TANKS.replace("property: pump_voltage", "property: pump").replace("y: {property: level", "y: {property: weight")
    check_model(model(wrong, tanks_py=texts.TANKS_PY), paths, problems, parse_text(wrong, "models/tanks.yaml", problems))
    unknown, dimension = (str(one) for one in problems.items)
    assert unknown.startswith("models/tanks.yaml:8: dtmi:example:Tanks;1 has no property 'pump'") and "pump_voltage" in unknown
    assert dimension.startswith("models/tanks.yaml:10: 'y' is in V, but property 'weight' is in kg")


def test_a_definition_survives_the_way_to_a_child(model):
    definition = model()
    again = ModelDefinition.from_data(definition.as_data()).with_artefacts(definition.artefacts)
    assert again == definition and again.artefact_digest == definition.artefact_digest


def test_the_artefact_digest_covers_what_decides_numbers_and_nothing_else(model, texts):
    base = model().artefact_digest

    def digest(old, new, code=texts.TANKS_PY):
        assert old in texts.TANKS
        return model(texts.TANKS.replace(old, new), tanks_py=code).artefact_digest

    assert digest("name: tanks", "name: other") == digest("value: 0.5", "value: 0.6") == digest("bounds: [0, 10]", "bounds: [0, 9]") == base
    changed = {
        digest("hold: zero", "hold: linear"),
        digest("hold: zero", "hold: next"),
        digest("step: PT4S", "step: PT5S"),
        digest("step: PT4S", "step: PT4S\nsolver: {method: RK45}"),
        digest("unit: V, range: [0, 10]}}", "unit: mV, range: [0, 10]}}"),
        digest("name: tanks", "name: tanks", texts.TANKS_PY + "# more"),
    }
    assert len(changed | {base}) == 7


@pytest.fixture
def scenario_problems(tmp_path, texts, model):
    (tmp_path / "good.csv").write_text("time,value\n0,1\n")
    definition = model()

    def find(more: str, old: str = "", new: str = "") -> list[str]:
        problems = Problems()
        document = parse_text((texts.SCENARIO.replace(old, new) if old else texts.SCENARIO) + more, "scenarios/a.yaml", problems)
        parsed = parse_scenario(document, problems, tmp_path) if document else None
        if parsed:
            check_scenario(parsed, definition, problems, document)
        else:
            assert problems
        return [str(one) for one in problems.items]

    return find


@pytest.mark.parametrize(
    ("more", "said", "remedy"),
    [
        ("inputs: {w: {scale: 2}}", "the model has no input 'w'", "It has: u"),
        ("inputs: {u: {scale: two}}", "'scale'", "'two'"),
        ("inputs: {u: {constant: 1, series: good.csv}}", "exclude each other", ""),
        ("inputs: {u: {constant: 1, unit: kg}}", "'kg' can't be converted to the model's V", "same dimension"),
        ("inputs: {u: {constant: 1, unit: zz}}", "'zz' is not a known unit", ""),
        ("inputs: {u: {series: none.csv}}", "none.csv can't be read", "beside this document"),
        ("inputs: {u: {series: ../good.csv}}", "is no file of the workspace", "below the folder"),
        ("inputs: {u: observed}", "'replay'", ""),
        ("parameters: {k9: 1}", "the model has no parameter 'k9'", "It has: k1, k2, x1_0"),
        ("parameters: {k1: {value: 1, unit: V}}", "'V' can't be converted", "same dimension"),
        ("sweep: {k9: [1]}", "the model has no parameter or input change 'k9'", "u.scale"),
        ("sweep: {k1: []}", "'k1' has no list of numbers", "[0.8, 1.0, 1.2]"),
        ("sweep: {k1: [a]}", "'k1' has no list of numbers", "[0.8, 1.0, 1.2]"),
        ("sweep: {k1: [true]}", "'k1' has no list of numbers", ""),
        ("sweep: {lhs: none}", "no number of points", "`lhs: 64`"),
        ("sweep: {k1: {sobol: 128}}", "no design draws from it", "{lhs: 64, k1: ...}"),
        ("ensemble: {size: 0}", "'size'", ""),
        ("sweep: {k1: [1, 2]}\nensemble: {size: 99999}", "199998 runs", "At most 100000"),
        ("constraints: ['y is low']", "'y is low' is not a constraint", "`y < 9.5 V`"),
        ("constraints: ['z < 9.5 V']", "the model has no input or output 'z'", "It has: u, y"),
        ("constraints: ['y < 9.5 kg']", "'kg' [[mass]] can't be converted to 'V'", ""),
        ("constraints: ['y < 9.5 zz']", "'zz' is not a known unit", ""),
        ("limits: {wall: 5}", "'wall'", ""),
        ("limits: {wall: five}", "is not an ISO 8601 duration", ""),
        ("limits: {memory: lots}", "'lots' is not a size of memory", "'lots'"),
        ("limits: {memory: 0}", "is not a size of memory", ""),
        ("colour: red", "'colour' is not a field here", ""),
    ],
)
def test_a_mistake_in_a_scenario_is_told_with_line_and_remedy(scenario_problems, more, said, remedy):
    found = scenario_problems(more)
    (told, *_) = [one for one in found if said in one] or [f"none of {found}"]
    assert said in told and remedy in told
    assert told.startswith("scenarios/a.yaml:7: ")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("from: 2026-03-01T08:00:00Z", "from: 2026-03-01T08:00:00", 5, "has no zone"),
        ("from: 2026-03-01T08:00:00Z", "from: yesterday", 5, "is not an ISO 8601 time"),
        ("horizon: PT2M", "horizon: 2 minutes", 6, "is not an ISO 8601 duration"),
        ("horizon: PT2M", "horizon: P3650D", 6, "more than 10000000 samples of 4 s"),
        ("twin: tanks-1", "twin: SELECT T FROM DIGITALTWINS T WHERE", 4, "query, line 1, column 35: the query ends"),
        ("twin: tanks-1", "twin: {query: x}", 4, "a fleet is the twins of an interface"),
        ("twin: tanks-1", "", 1, "'twin' is missing"),
    ],
)
def test_a_mistake_in_the_head_of_a_scenario_is_told(scenario_problems, old, new, line, said):
    (told, *_) = [one for one in scenario_problems("", old, new) if said in one] or ["nothing"]
    assert told.startswith(f"scenarios/a.yaml:{line}: ") or (line == 1 and said in told)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("value,time\n", 1, "the header is not `time,value`"),
        ("", 1, "the header is not `time,value`"),
        ("time,value\n", 1, "no values"),
        ("time,value\n0,1,2\n", 2, "3 cells where 2 are expected"),
        ("time,value\n0,1\n0,2\n", 3, "times do not increase"),
        ("time,value\n0,1\n2026-03-01T08:00:00Z,2\n", 3, "seconds and ISO times are mixed"),
        ("time,value\n2026-03-01T08:00:00,2\n", 2, "has no zone"),
        ("time,value\nnan,2\n", 2, "is no number of seconds"),
        ("time,value\n0,inf\n", 2, "'inf' is not a finite number"),
        ("time,value\n0,x\n", 2, "'x' is not a finite number"),
        ('time,value\n0,"x\n', 3, "'x\n' is not a finite number"),
    ],
)
def test_a_mistake_in_a_series_is_told_with_its_line(scenario_problems, tmp_path, text, line, said):
    (tmp_path / "bad.csv").write_text(text)
    (told,) = scenario_problems("inputs: {u: {series: bad.csv}}")
    assert said in told and (told.startswith(f"bad.csv:{line}: ") or "\n" in said)


def test_a_series_that_is_not_text_is_told(scenario_problems, tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"time,value\n0,\xff\n")
    assert "not UTF-8" in scenario_problems("inputs: {u: {series: bad.csv}}")[0]


def test_a_series_may_have_absolute_times(scenario, model, tmp_path):
    (tmp_path / "u.csv").write_text("time,value\n2026-03-01T07:59:00Z,1\n\n2026-03-01T09:00:00+01:00,2\n")
    series = scenario(model(), "inputs: {u: {series: u.csv}}").inputs["u"].series
    assert not series.relative and series.values.tolist() == [1.0, 2.0]
    assert series.times.tolist() == [from_iso("2026-03-01T07:59:00Z"), from_iso("2026-03-01T08:00:00Z")]


@pytest.mark.parametrize(("size", "count"), [("1GiB", 2**30), ("1.5 MB", 1_500_000), (4096, 4096), ("7B", 7)])
def test_sizes_are_read(size, count):
    assert byte_count(size) == count


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_WORDS = """name version kind artefact files output solver inputs states outputs parameters step validity u x1 y k1 value unit start
property state range hold bounds per model twin from horizon sweep ensemble size seed constraints limits wall memory scale add
constant series method rtol u.scale lhs"""
_names = st.sampled_from(_WORDS.split())
_values = st.sampled_from(
    ["ode", "function", "tanks.py:rhs", "tanks.py:", ":", "PT4S", "V", "now", "2026-03-01T08:00:00Z", "y < 9.5 V", "1GiB", "x1_0", "replay"]
)
_trees = st.recursive(
    _scalars | _values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(changes=st.dictionaries(_names, _trees, max_size=4), drop=st.sets(_names, max_size=3))
def test_no_document_ends_in_a_traceback(changes, drop, tmp_path, texts, model):
    import yaml

    for base, parse in ((texts.TANKS, parse_model_and_check), (texts.SCENARIO, parse_scenario_and_check)):
        data = yaml.safe_load(base) | changes
        text = yaml.safe_dump({key: value for key, value in data.items() if key not in drop})
        problems = Problems()
        document = parse_text(text, "x.yaml", problems)
        result = parse(document, tmp_path, problems, model) if document else None
        assert result is not None or problems
        assert all(one.message and one.file for one in problems.items)


def parse_model_and_check(document, folder, problems, model):
    model()
    definition = parse_model(document, folder, problems)
    if definition:
        check_model(definition, {}, problems, document)
    return definition


def parse_scenario_and_check(document, folder, problems, model):
    scenario = parse_scenario(document, problems, folder)
    if scenario:
        check_scenario(scenario, model(), problems, document)
    return scenario


def test_codec_keeps_arrays_and_refuses_what_is_not_plain():
    from twinwright.errors import UsageError
    from twinwright.simulation import plain_data

    data = {"a": np.arange(6.0).reshape(2, 3), "b": [1, None, "x", b"y", True], "c": np.array([], bool)}
    data |= {"d": np.int64(3), "e": np.arange(3)}
    again = plain_data.decode(plain_data.encode(data))
    assert again["a"].tobytes() == data["a"].tobytes() and again["a"].shape == (2, 3) and again["b"] == data["b"]
    assert again["d"] == 3 and again["e"].dtype == np.int64 and again["c"].size == 0
    again["a"][0, 0] = 9.0  # a copy of its own
    for wrong in (object(), {"x": {1, 2j}}, np.array(["text"])):
        with pytest.raises(UsageError, match="not plain data"):
            plain_data.encode(wrong)


@given(st.binary(max_size=200))
def test_codec_refuses_foreign_bytes_without_a_traceback(body):
    from twinwright.errors import UsageError
    from twinwright.simulation import plain_data

    try:
        plain_data.decode(body)
    except UsageError as error:
        assert "not an encoded answer" in error.what


_cells = st.floats(allow_nan=False) | st.integers() | st.text(max_size=3)


@given(st.lists(st.tuples(st.text(max_size=3), _cells), max_size=4, unique_by=lambda one: one[0]))
def test_the_canonical_encoding_depends_on_values_and_not_on_order(pairs):
    from twinwright.simulation.digest import canonical_bytes

    assert canonical_bytes(dict(pairs)) == canonical_bytes(dict(reversed(pairs)))
    assert canonical_bytes([pairs]) != canonical_bytes(pairs)
    assert canonical_bytes(1) != canonical_bytes(1.0) != canonical_bytes(True) != canonical_bytes("1") != canonical_bytes(b"1")
    assert canonical_bytes(0.0) != canonical_bytes(-0.0) and canonical_bytes(None) != canonical_bytes(False)
