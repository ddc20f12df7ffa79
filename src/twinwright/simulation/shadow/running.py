"""Runs planned pieces in children, many twins of one model in one, and turns the answers into what is published and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from twinwright.simulation import plain_data
from twinwright.simulation.child import Failure, Limits, run_in_child
from twinwright.simulation.shadow.definition import Shadow
from twinwright.simulation.shadow.follower import Follower, Piece
from twinwright.simulation.shadow.outputs import EVER, Said, Span, differing, joined, residuals, rows_of
from twinwright.simulation.shadow.reading import NOTHING, Readings, Taken, Times

_ENTRY, _PREPARE = "twinwright.simulation.shadow.worker:advance", "twinwright.simulation.worker:prepare"
_LIMITS = Limits()


def run(
    shadow: Shadow, readings: Readings, pieces: Sequence[Piece], late: pl.DataFrame, followers: Mapping[int, Follower]
) -> list[pa.Table]:
    """What has to be written because of some pieces, and of observed outputs that came late. Followers go on, or have an `error`."""
    predicted, forecast, spans, beyond = [], [], [], []
    fresh: Taken = {}
    wanted: dict[int, tuple[int, Times]] = {}
    for piece, answer in zip(pieces, _answers(shadow, pieces), strict=True):
        follower = piece.follower
        if "failure" in answer:
            follower.error = f"{answer['failure']}: {answer['message']}"
            continue
        scratch = piece.payload["state"] is None
        own = slice(0 if scratch else 1, None)
        times = piece.grid[own]
        after = -EVER if scratch else int(piece.grid[0])
        until = EVER if piece.final else int(piece.grid[-1])
        if not follower.settled:
            spans.append(Span(follower.twin, after, until, follower.cause))
        if not follower.settled:
            beyond.append(Span(follower.twin, after, until, follower.cause))
        elif piece.issues:  # what the forecast before says up to the first of these holds
            begin = int(piece.grid[0]) + (piece.issues[0][0] - piece.first) * shadow.step
            beyond.append(Span(follower.twin, begin, until, follower.cause))
        for index, path, unit in shadow.outputs:
            values = answer["outputs"][own, index]
            fresh[follower.twin, path] = times, values
            predicted.append(rows_of(follower.twin, path, unit, times, values, follower.cause))
        forecast += _forecasts(shadow, piece, answer)
        wanted[follower.twin] = follower.start or 0, times
        _go_on(shadow, piece, answer)
    tables = differing(readings, Said("simulated", shadow.source, joined(predicted), spans))
    if shadow.horizon:
        tables += differing(readings, Said("simulated", shadow.forecast_source, joined(forecast), beyond))
    if shadow.spec.residuals:
        tables += _residuals(shadow, readings, wanted, fresh, spans, late, followers)
    return tables


def _answers(shadow: Shadow, pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """One for each piece. A child takes as many as may run in it; where one ended the whole child, the first is to blame or runs alone."""
    answers: list[dict[str, Any]] = []
    alone = False
    while len(answers) < len(pieces):
        left = pieces[len(answers) :]
        given = [piece.payload for piece in (left[:1] if alone else left)]
        model = shadow.model.as_data()
        payload = {"model": model, "members": given}
        outcome = run_in_child(
            _ENTRY, payload, limits=_LIMITS, files=shadow.model.artefacts, prepare=_PREPARE, prepare_payload={"model": model}
        )
        if isinstance(outcome, Failure):
            if len(given) == 1:
                answers.append({"failure": outcome.kind, "message": outcome.message})
            alone = True
            continue
        made = outcome.result.get("members") if isinstance(outcome.result, dict) else None
        if not isinstance(made, list) or not 0 < len(made) <= len(given):
            return answers + [{"failure": "refused", "message": "the answer is not one of ours"}] * len(left)
        answers += [_checked(shadow, piece, answer) for piece, answer in zip(left, made, strict=False)]
    return answers


def _checked(shadow: Shadow, piece: Piece, answer: Any) -> dict[str, Any]:
    """A child may answer anything: what is not of the shape that was asked for goes no further."""
    if isinstance(answer, dict) and "failure" in answer:
        return answer
    width = len(shadow.model.outputs)
    sizes = [(piece.grid.size, width), *((count, width) for _, count in piece.issues)]
    try:
        given = [answer["outputs"], *answer["forecasts"]]
        cuts = [cut for cut, _ in answer["states"]]
        good = [isinstance(one, np.ndarray) and one.shape for one in given] == sizes and cuts == piece.payload["cuts"]
    except (TypeError, KeyError, ValueError):
        good = False
    return answer if good else {"failure": "refused", "message": "the answer has not the shape of the model's outputs"}


def _forecasts(shadow: Shadow, piece: Piece, answer: Mapping[str, Any]) -> list[pl.DataFrame]:
    parts, follower = [], piece.follower
    for (step, count), values in zip(piece.issues, answer["forecasts"], strict=True):
        times = (follower.start or 0) + (step + 1 + np.arange(count, dtype=np.int64)) * shadow.step
        parts += [rows_of(follower.twin, path, unit, times, values[:, index], follower.cause) for index, path, unit in shadow.outputs]
    return parts


def _go_on(shadow: Shadow, piece: Piece, answer: Mapping[str, Any]) -> None:
    """The follower keeps the states that it was given, and lets go of older ones."""
    follower = piece.follower
    follower.ended, follower.settled, follower.dirty, follower.held = piece.last, piece.final, not piece.final, piece.held
    if shadow.spec.replay:
        return
    kept = dict(follower.kept)
    for cut, state in answer["states"]:
        kept[int(piece.grid[cut])] = plain_data.encode({"start": follower.start, "state": state})
    follower.keep({time: body for time, body in kept.items() if shadow.kept(follower.index(shadow, time), piece.last)})


def _residuals(
    shadow: Shadow,
    readings: Readings,
    wanted: dict[int, tuple[int, Times]],
    fresh: Taken,
    spans: Sequence[Span],
    late: pl.DataFrame,
    followers: Mapping[int, Follower],
) -> list[pa.Table]:
    """Of what was run now, and of what was predicted before and is observed, or observed otherwise, only now."""
    causes = {twin: one.cause for twin, one in followers.items()}
    tables = differing(readings, Said("derived", shadow.source, residuals(shadow, readings, wanted, fresh, causes), spans))
    if late.is_empty():
        return tables
    again: dict[int, tuple[int, Times]] = {}
    causes = dict(late.group_by("twin").agg(pl.max("commit")).iter_rows())
    for (twin,), rows in late.partition_by("twin", as_dict=True).items():
        follower = followers[twin]
        if follower.start is None or (follower.head is None and not shadow.spec.replay):
            continue
        steps = np.unique(-((follower.start - rows["time"].to_numpy()) // shadow.step))
        times = follower.start + steps[steps >= 0] * shadow.step
        run_now = wanted.get(twin, (0, NOTHING[0]))[1]
        before = int(run_now[0]) if run_now.size else follower.start + follower.ended * shadow.step + 1
        again[twin] = follower.start, times[times < before]
    again = {twin: one for twin, one in again.items() if one[1].size}
    if not again:
        return tables
    start, end = min(int(one[0]) for _, one in again.values()), max(int(one[-1]) for _, one in again.values()) + 1
    predicted = readings.latest_said(list(again), {path: unit for _, path, unit in shadow.outputs}, start, end, shadow.source)
    spans = [Span(twin, int(time) - 1, int(time), causes[twin]) for twin, (_, times) in again.items() for time in times]
    return tables + differing(readings, Said("derived", shadow.source, residuals(shadow, readings, again, predicted, causes), spans))
