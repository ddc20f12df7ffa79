"""Runs planned pieces in children, many twins of one model in one, and turns the answers into what is published and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from twinwright.clock import SECOND
from twinwright.simulation import plain_data
from twinwright.simulation.child import Failure, Limits, run_in_child
from twinwright.simulation.protocol import Floats
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.follower import Follower
from twinwright.simulation.shadow.outputs import EVER, Said, differing, rows_of, spans_of
from twinwright.simulation.shadow.planning import Piece
from twinwright.simulation.shadow.reading import Readings, Times
from twinwright.simulation.shadow.residuals import again, residuals

_ENTRY, _PREPARE = "twinwright.simulation.shadow.worker:advance", "twinwright.simulation.worker:prepare"
_LIMITS = Limits()


class Answer(msgspec.Struct):
    """What the model says of one piece: outputs on its grid, those of its forecasts one after another, and states at its cuts."""

    outputs: Floats | None = None
    forecasts: Floats | None = None
    states: list[bytes] = []
    failure: str = ""


class _State(msgspec.Struct):
    """The shape of a state that was saved."""

    time: float
    values: msgspec.msgpack.Ext
    parameters: msgspec.msgpack.Ext
    opaque: bytes
    seed: int


@dataclass(frozen=True, slots=True)
class Done:
    """A piece that was run; `settled` is what its follower was before."""

    piece: Piece
    outputs: Floats
    forecasts: Floats
    settled: bool


def run(
    shadow: Shadow,
    parameters: Mapping[str, float],
    readings: Readings,
    pieces: Sequence[Piece],
    late: pl.DataFrame,
    followers: Mapping[int, Follower],
) -> list[pa.Table]:
    """What has to be written because of some pieces, and of observed outputs that came late. Followers go on, or have an `error`."""
    done = advance(shadow, parameters, pieces)
    spans: list[tuple[int, int, int, int]] = []
    beyond: list[tuple[int, int, int, int]] = []
    for one in done:
        piece, twin, cause = one.piece, one.piece.follower.twin, one.piece.follower.cause
        until = EVER if piece.final else int(piece.grid[-1])
        if not one.settled:
            spans.append((twin, -EVER if piece.state is None else int(piece.grid[0]), until, cause))
            beyond.append(spans[-1])
        elif piece.issues:  # what the forecast before says up to the first of these holds
            beyond.append((twin, int(piece.grid[0]) + (piece.issues[0][0] - piece.first) * shadow.step, until, cause))
    said = predictions(shadow, done)
    tables = differing(readings, Said("simulated", shadow.source, said, spans_of(spans)))
    if shadow.horizon:
        tables += differing(readings, Said("simulated", shadow.forecast_source, forecasts(shadow, done), spans_of(beyond)))
    if shadow.spec.residuals:
        tables += differing(readings, Said("derived", shadow.source, residuals(shadow, readings, said), spans_of(spans)))
        run_now = {one.piece.follower.twin: int(one.piece.grid[0 if one.piece.state is None else 1]) for one in done if one.piece.fresh}
        tables += again(shadow, readings, late, followers, run_now)
    return tables


def advance(shadow: Shadow, parameters: Mapping[str, float], pieces: Sequence[Piece]) -> list[Done]:
    """Run pieces. Followers go on from there; those whose model failed have an `error`, and none of their pieces is given."""
    done = []
    for piece, answer in zip(pieces, _answers(shadow, parameters, pieces), strict=True):
        if answer.failure or answer.outputs is None or answer.forecasts is None:
            piece.follower.error = answer.failure
            continue
        done.append(Done(piece, answer.outputs, answer.forecasts, piece.follower.settled))
        _go_on(shadow, piece, answer)
    return done


def predictions(shadow: Shadow, done: Sequence[Done]) -> pl.DataFrame:
    """Outputs at the steps that were run; of a piece that goes on from a state not at that state, of which they were told before."""
    begins = [0 if one.piece.state is None else 1 for one in done]
    times = [one.piece.grid[begin:] for one, begin in zip(done, begins, strict=True)]
    values = [one.outputs[begin:] for one, begin in zip(done, begins, strict=True)]
    return _rows(shadow, [one.piece.follower for one in done], times, values)


def forecasts(shadow: Shadow, done: Sequence[Done]) -> pl.DataFrame:
    """Outputs ahead of what is observed."""
    ahead = [one for one in done if one.piece.issues]
    steps = [np.concatenate([step + 1 + np.arange(count, dtype=np.int64) for step, count in one.piece.issues]) for one in ahead]
    times = [(one.piece.follower.start or 0) + mine * shadow.step for one, mine in zip(ahead, steps, strict=True)]
    return _rows(shadow, [one.piece.follower for one in ahead], times, [one.forecasts for one in ahead])


def _rows(shadow: Shadow, followers: Sequence[Follower], times: Sequence[Times], values: Sequence[Floats]) -> pl.DataFrame:
    """Those outputs of some twins that name a property, each at its times."""
    if not followers:
        return rows_of([])
    counts = [one.size for one in times]
    twins = np.repeat(np.array([one.twin for one in followers], np.int32), counts)
    causes = np.repeat(np.array([one.cause for one in followers], np.int64), counts)
    together, when = np.concatenate(values), np.concatenate(times)
    return rows_of([(path, unit, twins, when, together[:, index], causes) for index, path, unit in shadow.outputs])


def _answers(shadow: Shadow, parameters: Mapping[str, float], pieces: Sequence[Piece]) -> list[Answer]:
    """One for each piece. A child takes as many as may run in it; where one ended the whole child, the first is to blame or runs alone."""
    answers: list[Answer] = []
    alone = False
    while len(answers) < len(pieces):
        given = pieces[len(answers) : len(answers) + 1 if alone else None]
        model = shadow.model.as_data()
        payload = {"model": model, **_payload(shadow, parameters, given)}
        outcome = run_in_child(
            _ENTRY, payload, limits=_LIMITS, files=shadow.model.artefacts, prepare=_PREPARE, prepare_payload={"model": model}
        )
        if isinstance(outcome, Failure):
            if len(given) == 1:
                answers.append(Answer(failure=f"{outcome.kind}: {outcome.message}"))
            alone = True
            continue
        made = _checked(len(shadow.model.outputs), not shadow.spec.replay, given, outcome.result)
        if not made:
            return answers + [Answer(failure="refused: the answer has not the shape of the model's outputs")] * (len(pieces) - len(answers))
        answers += made
    return answers


def _payload(shadow: Shadow, parameters: Mapping[str, float], pieces: Sequence[Piece]) -> dict[str, Any]:
    return {
        "parameters": dict(parameters),
        "seed": shadow.spec.seed,
        "step": shadow.step / SECOND,
        "replay": shadow.spec.replay,
        "outputs": len(shadow.model.outputs),
        "inputs": np.concatenate([piece.inputs for piece in pieces]),
        "members": [
            [
                piece.first,
                len(piece.grid),
                piece.state,
                piece.states,
                [cut - piece.first for cut in piece.cuts],
                [[step - piece.first, count] for step, count in piece.issues],
            ]
            for piece in pieces
        ],
    }


def _checked(width: int, saved: bool, pieces: Sequence[Piece], answer: Any) -> list[Answer]:
    """What was answered of the first pieces. A child may answer anything: nothing, where it has not the shape that was asked for."""
    try:
        count, failures, states = int(answer["done"]), dict(answer["failures"]), answer["states"]
        outputs, forecasts = answer["outputs"], answer["forecasts"]
        done = pieces[:count]
        ends = np.cumsum([0, *(one.grid.size for one in done)])
        ahead = np.cumsum([0, *(sum(steps for _, steps in one.issues) for one in done)])
        good = 0 < count == len(states) <= len(pieces) and outputs.shape == (ends[-1], width) and forecasts.shape == (ahead[-1], width)
        if not good or not outputs.dtype == forecasts.dtype == np.float64:
            return []
        made = []
        for index, (piece, kept) in enumerate(zip(done, states, strict=True)):
            if str(index) in failures:
                kind, message = failures[str(index)]
                made.append(Answer(failure=f"{kind}: {message}"))
                continue
            if len(kept) != len(piece.cuts):
                return []
            for one in kept if saved else ():
                msgspec.msgpack.decode(one, type=_State)
            made.append(Answer(outputs[ends[index] : ends[index + 1]], forecasts[ahead[index] : ahead[index + 1]], kept))
    except (AttributeError, TypeError, KeyError, ValueError, msgspec.DecodeError):
        return []
    return made


def _go_on(shadow: Shadow, piece: Piece, answer: Answer) -> None:
    """The follower keeps the states that it was given, and lets go of older ones."""
    follower = piece.follower
    follower.settled, follower.dirty, follower.held = piece.final, not piece.final, piece.held
    if shadow.spec.replay:
        follower.ended = piece.last
        return
    begin = int(piece.grid[0]) - piece.first * shadow.step
    states = {begin + cut * shadow.step: _kept(begin, state) for cut, state in zip(piece.cuts, answer.states, strict=True)}
    follower.go_on(shadow, states, piece.last)
    follower.ended = piece.last


def _kept(start: int, state: bytes) -> bytes:
    """As it is stored: where the grid begins, and the state."""
    return plain_data.encode({"start": start, "state": msgspec.Raw(state)})
