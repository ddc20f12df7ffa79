from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twinwright.calibration.dataset import Window, build
from twinwright.clock import SECOND, from_iso
from twinwright.errors import NotFoundError, TooLargeError, UnitError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN

START = from_iso("2026-03-01T08:00:00Z")


def at(*seconds: float) -> np.ndarray:
    return START + (np.array(seconds) * SECOND).astype(np.int64)


@pytest.fixture
def lag(model_definition):
    return model_definition("lag")


@pytest.fixture
def data(reader):
    def make(model, start=None, end=None, **options):
        return build(reader, LOCAL_ADMIN, model, "lag-1", start, end, **options)

    return make


def put(reader, drive_at=(0, 5, 10, 15, 20), level_at=(0, 5, 10, 15, 20), drive=None, level=None):
    reader.put("lag-1", "drive", at(*drive_at), np.arange(len(drive_at)) if drive is None else drive)
    reader.put("lag-1", "level", at(*level_at), np.arange(len(level_at)) if level is None else level)


def test_inputs_are_held_from_their_last_reading(reader, lag, data):
    put(reader, drive_at=(0, 7, 11), drive=[1, 2, 3], level_at=(0, 4, 8, 12, 16))
    assert data(lag).inputs[:, 0].tolist() == [1, 1, 2, 3, 3]


def test_inputs_are_interpolated_where_the_model_says_so(reader, lag, data):
    put(reader, drive_at=(0, 10, 20), drive=[0, 1, 0])
    linear = replace(lag, inputs=(replace(lag.inputs[0], hold="linear"),))
    assert data(linear).inputs[:, 0].tolist() == [0, 0.5, 1, 0.5, 0]


def test_a_mean_stands_for_the_time_that_ends_with_it_where_the_model_says_so(reader, lag, data):
    put(reader, drive_at=(0, 5, 10, 15, 20), drive=[1, 2, 3, 4, 5])
    means = replace(lag, inputs=(replace(lag.inputs[0], hold="next"),))
    assert data(means).inputs[:, 0].tolist() == [2, 3, 4, 5, 5]


def test_an_input_may_have_been_read_last_before_the_window(reader, lag, data):
    put(reader, drive_at=(-100, 12), drive=[7, 8], level_at=(0, 5, 10, 15, 20))
    assert data(lag, START, None).inputs[:, 0].tolist() == [7, 7, 7, 8, 8]


def test_observations_stay_where_they_were_and_gaps_are_not_bridged(reader, lag, data):
    put(reader, level_at=(0.3, 5.1, 500), drive_at=(0, 250, 500), drive=[1, 1, 1])
    found = data(lag)
    assert found.seconds("level").tolist() == pytest.approx([0, 4.8, 499.7])
    assert found.inputs.shape == (101, 1)


def test_bad_observations_are_left_out(reader, lag, data):
    put(reader, level=[0, np.nan, 2, 3, 4])
    assert data(lag).observed["level"].values.tolist() == [0, 2, 3, 4]


def test_the_run_begins_when_every_input_is_known_and_says_so(reader, lag, data):
    put(reader, drive_at=(7, 12), level_at=(0, 5, 10, 15, 20), drive=[1, 1])
    found = data(lag, START, None)
    assert found.origin == at(7)[0]
    assert found.observed["level"].values.tolist() == [2, 3, 4]
    assert any("from when every input is known" in note for note in found.notes)


def test_a_gap_in_an_input_is_told(reader, lag, data):
    times = [*range(0, 50, 5), 2000]
    put(reader, drive_at=times, level_at=times)
    assert any("input 'drive' has a gap of PT32M35S from 2026-03-01T08:00:45Z" in note for note in data(lag).notes)


def test_an_input_that_ends_early_is_told(reader, lag, data):
    put(reader, level_at=(0, 5, 10, 15, 2000))
    assert any("input 'drive' ends at 2026-03-01T08:00:20Z" in note for note in data(lag).notes)


def test_an_input_read_finer_than_the_models_step_is_told(reader, lag, data):
    put(reader, drive_at=range(0, 20))
    assert any("the input drive was read every 1 s but the model takes one value per step of 5 s" in note for note in data(lag).notes)
    put(reader)
    assert data(lag).notes == ()


def test_values_come_in_the_units_of_the_model(reader, model_definition):
    tanks = model_definition("tanks")
    reader.put("t", "pump", at(0, 4, 8), [1000, 2000, 3000], "mV")
    reader.put("t", "level", at(0, 4, 8), [1, 2, 3], "V")
    assert build(reader, LOCAL_ADMIN, tanks, "t", None, None).inputs[:, 0].tolist() == [1, 2, 3]
    reader.put("t", "pump", at(0, 4, 8), [1, 2, 3], "kPa")
    with pytest.raises(UnitError):
        build(reader, LOCAL_ADMIN, tanks, "t", None, None)


def test_a_state_starts_where_it_was_observed(reader, lag, data):
    put(reader, level=[3, 4, 5, 6, 7])
    observed = replace(lag, states=(replace(lag.states[0], start=None, property="level"),))
    assert data(observed).state_starts == {"level": 3.0}
    assert data(observed, int(at(6)[0]), None).state_starts == {"level": 5.0}, "as of the first observation in the window"
    assert data(lag).state_starts == {}


def test_the_last_value_before_the_window_is_known_to_the_baseline(reader, lag, data):
    put(reader, level=[3, 4, 5, 6, 7])
    assert data(lag, int(at(10)[0]), None).previous == {"level": 4.0}
    assert data(lag).previous == {}


def test_the_window_includes_its_start_and_not_its_end(reader, lag, data):
    put(reader)
    found = data(lag, int(at(5)[0]), int(at(15)[0]))
    assert found.observed["level"].values.tolist() == [1, 2]


def test_a_split_by_time_shares_nothing(reader, lag, data):
    put(reader, drive_at=range(0, 500, 5), level_at=range(0, 500, 5))
    found = data(lag).split(0.3)
    assert found.train.end == found.judged.start
    assert not found.train.overlaps(found.judged)
    assert (found.count(found.train), found.count(found.judged)) == (70, 30)
    assert data(lag).split(0).judged is None


def test_the_digest_is_of_the_readings(reader, lag, data):
    put(reader)
    first = data(lag).digest
    assert data(lag).digest == first
    put(reader, level=[0, 1, 2, 3, 4.5])
    assert data(lag).digest != first


def test_too_few_observations_say_how_many_are_needed(reader, lag, data):
    put(reader)
    with pytest.raises(UsageError, match=r"3 observations in the training part .* At least 9 are needed"):
        data(lag).split(0.3).require(3)
    put(reader, drive_at=range(0, 75, 5), level_at=range(0, 75, 5))
    with pytest.raises(UsageError, match=r"At least 12 are needed"):
        data(lag).split(0.3).require(4)
    with pytest.raises(UsageError, match=r"1 observations .* to be judged.* At least 5"):
        data(lag).split(0.05).require(4)


def test_nothing_observed_of_an_output(reader, lag, data):
    put(reader)
    with pytest.raises(UsageError, match=r"model lag, twin lag-1: nothing was observed of level in the window.*--from"):
        data(lag, START + 10**12, None)


def test_nothing_observed_of_an_input(reader, lag, data):
    put(reader, drive=[np.nan] * 5)
    with pytest.raises(UsageError, match=r"nothing was observed of 'drive' by .*twinwright history"):
        data(lag)


def test_an_input_that_begins_after_the_last_output_is_as_good_as_none(reader, lag, data):
    put(reader, drive_at=(100,))
    with pytest.raises(UsageError, match="nothing was observed of 'drive' by the end of the window"):
        data(lag)


def test_an_output_without_a_property_can_not_be_judged(reader, lag, data):
    put(reader)
    with pytest.raises(UsageError, match=r"no output of the model names a property.*Add `property:`"):
        data(replace(lag, outputs=(replace(lag.outputs[0], property=None),)))


def test_an_input_without_a_property_is_the_path_of_its_name(reader, lag, data):
    put(reader)
    assert data(replace(lag, inputs=(replace(lag.inputs[0], property=None),))).inputs[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_window_that_ends_before_it_begins(lag, data):
    with pytest.raises(UsageError, match=r"ends .* before it begins"):
        data(lag, START, START)


def test_a_grid_beyond_reason_is_refused(reader, lag, data):
    put(reader, drive_at=(0, 1e8), level_at=(0, 1e8))
    with pytest.raises(TooLargeError, match="20000001 steps"):
        data(lag)


def test_an_unknown_path_is_the_readers_to_tell(lag, data):
    with pytest.raises(NotFoundError):
        data(lag)


def test_windows_that_touch_do_not_overlap():
    assert not Window(0, 10).overlaps(Window(10, 20))
    assert Window(0, 11).overlaps(Window(10, 20))
    assert str(Window(START, START + SECOND)) == "2026-03-01T08:00:00Z to 2026-03-01T08:00:01Z"
