"""Lives of a process that takes in and follows: each is forked from one that has loaded everything, and killed at a random instant.

shadower.py FOLDER KILLS [MUTANT]

In FOLDER/killed lives that are killed fill and follow a store, until so many were, and one that is left alone; in FOLDER/whole one that is
never killed is told the same. What each store holds at the end is in said.json beside it; on standard output how often the killed ones
followed. MUTANT, of those beside this file, is how all of them are broken.

Nothing of DuckDB and Polars may be done before a fork: neither survives one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import pickle
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from tests.simulation.shadow.line import BEGIN, STEP, Line, body, compiled, contract, model

from twinwright.clock import SECOND
from twinwright.compiled import Compiled
from twinwright.simulation import child
from twinwright.simulation.sandbox import Sandbox
from twinwright.simulation.shadow import follower, running
from twinwright.storage.duckdb import DuckDBStore
from twinwright.telemetry import prints, seen_table, timestamps
from twinwright.twins import cells

SHADOW = {"forecast": {"horizon": "PT1M", "every": "PT30S"}, "residuals": {"x": "error"}}
STEPS = 24  # of the model, in one delivery
HALVES = 2 * STEPS
EARLY, LATE = 8, 10


def delivery(number: int) -> list[dict[str, Any]]:
    """The payloads of one delivery. Each leaves out two, which come with a later one or never: within the lateness of the shadow, or from
    far beyond it."""
    told = [number * HALVES + at for at in range(0, HALVES, 2) if at not in (EARLY, HALVES - LATE)]
    if number:
        told.append(number * HALVES - LATE)
    if number % 7 == 6:
        told.append((number - 3) * HALVES + EARLY)
    return [body(tick, 60.0 + tick % 7, 100.0 + tick % 11) for tick in told]


def take_in(line: Line, number: int) -> None:
    line.plant.clock.advance(max(0, BEGIN + (number + 1) * STEPS * STEP * SECOND - line.plant.clock.now()))
    receipt = line.plant.send(*delivery(number))
    assert receipt.accepted + receipt.duplicate == len(delivery(number)), receipt


def live(folder: Path, told: int, tell: int) -> None:
    """Take in and follow for ever, from a delivery on; a byte for each delivery that was taken, and for each commit of what follows."""
    line = Line(folder, **SHADOW)
    line.plant.store.on_commit(lambda commit: os.write(tell, b"f") if commit.kind == "shadow" else None)
    for number in itertools.count(told):
        take_in(line, number)
        os.write(tell, b"t")
        line.follow()


def end(folder: Path, told: range) -> None:
    """Take in what is left, follow to the end, and put down what there is."""
    line = Line(folder, **SHADOW)
    for number in told:
        take_in(line, number)
    line.follow()
    facts = sorted([*key, lane, value.hex()] for key, (lane, value) in line.facts().items())
    states = [[one["twin"], one["time"], one["body"].hex()] for one in line.states()]
    line.close()
    (folder / "said.json").write_text(json.dumps({"facts": facts, "states": sorted(states), "repeated": repeated(folder)}))


def repeated(folder: Path) -> list[Any]:
    """What was published though it was what had been published last."""
    store = DuckDBStore(folder / "store.duckdb")
    try:
        return store._con.execute(REPEATED).fetchall()
    finally:
        store.close()


REPEATED = """
SELECT lane, source, twin, path, time FROM (
  SELECT *, row_number() OVER versions AS version, lag(num) OVER versions AS before, lag(kind) OVER versions AS kind_before
  FROM observed_values WHERE lane IN ('simulated', 'derived')
  WINDOW versions AS (PARTITION BY lane, source, twin, path, time ORDER BY correction, commit))
WHERE version > 1 AND num IS NOT DISTINCT FROM before AND kind = kind_before ORDER BY ALL LIMIT 10
"""


def needed(folder: Path) -> tuple[list[str], list[tuple[str, str, list[Any]]]]:
    """What a life has loaded at its end that was not before: modules, and which functions were compiled for what."""
    before = set(sys.modules)
    line = Line(folder, **SHADOW)
    take_in(line, 0)
    line.follow()
    line.close()
    found = []
    for module in (prints, seen_table, timestamps, cells):
        found += [(module.__name__, name, one.dispatcher.signatures) for name, one in vars(module).items() if isinstance(one, Compiled)]
    return sorted(set(sys.modules) - before), found


class Nursery:
    """What all lives need, loaded once, and the child processes that run the model for them."""

    def __init__(self, folder: Path) -> None:
        follower.CHUNK = 12
        folder.mkdir(exist_ok=True)
        shadows, _ = compiled(model(folder), **SHADOW)
        contract()
        made = shadows["live"].model
        nothing = {"parameters": made.defaults(), "seed": 0, "step": float(STEP), "replay": False, "outputs": 1, "members": []}
        given = {"files": made.artefacts, "prepare": running._PREPARE, "prepare_payload": {"model": made.as_data()}}
        child.run_in_child(
            running._ENTRY, {**nothing, "model": made.as_data(), "inputs": np.zeros((0, 1))}, limits=running._LIMITS, **given
        )
        self.sandbox: Sandbox = child.shared_sandbox()
        self.lives = 0
        needs = folder / "needs"
        self.wait_for(lambda: needs.write_bytes(pickle.dumps(needed(folder))))
        modules, signatures = pickle.loads(needs.read_bytes())
        for module in modules:
            with contextlib.suppress(ImportError):  # some are made while others are loaded
                importlib.import_module(module)
        for module, name, known in signatures:
            for signature in known:
                getattr(sys.modules[module], name).dispatcher.compile(signature)
        gc.collect()
        gc.freeze()

    def fork(self, act: Callable[[], None]) -> int:
        """The process that does it, and ends."""
        self.lives += 1
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            root = self.sandbox._root
            for numbered in (root, *self.sandbox._templates.values()):
                numbered.folders = 1_000 * self.lives  # those of one that was killed stay
            root.alive = lambda: True  # it is not this process's child, which can't ask
            child.shared_sandbox = lambda: self.sandbox
            act()
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may return from here into the parent
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def wait_for(self, act: Callable[[], None]) -> None:
        _, status = os.waitpid(self.fork(act), 0)
        assert status == 0, status

    def killed(self, folder: Path, kills: int, rng: random.Random) -> tuple[int, int]:
        """How many deliveries were taken, and how often what follows has committed."""
        told = followed = 0
        span = 1.0  # seconds; it becomes long enough for a commit or two, whatever the machine
        for life in range(kills):
            hear, tell = os.pipe()
            pid = self.fork(lambda told=told, tell=tell: live(folder, told, tell))
            os.close(tell)
            heard = b""
            if life % 2:  # in the midst of following: a while after a commit of it
                wanted = rng.choice([1, 1, 2])
                while heard.count(b"f") < wanted and (byte := os.read(hear, 1)):
                    heard += byte
                time.sleep(rng.uniform(0, 0.05))
            else:
                time.sleep(rng.uniform(0, span))
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status
            with os.fdopen(hear, "rb") as said:
                heard += said.read()
            told, followed = told + heard.count(b"t"), followed + heard.count(b"f")
            if not life % 2:
                span *= 1.1 if b"f" not in heard else 0.8 if heard.count(b"f") > 1 else 1.0
        return told, followed


def main(folder: Path, kills: int, *mutant: str) -> None:
    nursery = Nursery(folder / "nursery")
    if mutant:
        importlib.import_module(f"tests.faults.mutants.{mutant[0]}").apply()
    told, followed = nursery.killed(folder / "killed", kills, random.Random(7))
    nursery.wait_for(lambda: end(folder / "killed", range(told, told + 1)))
    nursery.wait_for(lambda: end(folder / "whole", range(told + 1)))
    print(followed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
