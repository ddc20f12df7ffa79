"""A model opens nothing of the home folder and of the store, reaches no other process, and still has what it is made of."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.simulation.kinds import made

from twinwright.simulation import landlock
from twinwright.simulation.child import Sandbox
from twinwright.simulation.landlock import Seclusion, hold
from twinwright.simulation.outcomes import Limits

TEXT = "{name: f, version: 1, kind: function, artefact: 'f.py:f', outputs: {y: {}}, step: PT1S}"


def held(seclusion: Seclusion, ask) -> str:
    """What `ask()` says in a process that is held to it."""
    ours, theirs = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            said = ask() if hold(seclusion) else "not held"
        except OSError as error:
            said = type(error).__name__
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as told:
        os.waitpid(pid, 0)
        return told.read()


# A kernel without Landlock holds nothing, and has to say so.
KERNEL = held(Seclusion(), lambda: "held") == "held"
REFUSED = "PermissionError" if KERNEL else "not held"


def told(text: str) -> str:
    """What a held process says of what it can open."""
    return text if KERNEL else "not held"


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    for name in ("store/secret", "store/public/code", "beside", "store/deep/code"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "way").symlink_to(tmp_path / "store")
    return tmp_path


def test_what_is_hidden_can_not_be_opened_and_what_is_shown_within_it_can(plant):
    asked = Seclusion((str(plant / "store"),), (str(plant / "store/public"),))
    store = plant / "store"
    assert held(asked, (plant / "beside").read_text) == told("beside")
    assert held(asked, (store / "public/code").read_text) == told("store/public/code")
    for ask in (
        (store / "secret").read_text,
        (store / "deep/code").read_text,
        (plant / "way/secret").read_text,
        lambda: str(os.listdir(store)),  # noqa: PTH208 -- the plainest way
        lambda: str((store / "new").write_text("x")),
        lambda: str((store / "new").mkdir()),
        lambda: str((store / "secret").unlink()),
        lambda: str((store / "secret").rename(plant / "taken")),
    ):
        assert held(asked, ask) == REFUSED
    assert held(asked, lambda: str(os.kill(os.getppid(), 0))) in (REFUSED, told("None"))  # signals are held from Linux 6.12 on
    assert (store / "secret").read_text() == "store/secret"


def test_a_process_that_is_held_can_be_told(plant):
    assert not landlock.is_held(os.getpid()) and not landlock.is_held(os.getppid())
    assert held(Seclusion((str(plant),)), lambda: str(landlock._has_no_new_privileges(os.getpid()))) == told("True")


def test_a_hidden_folder_within_one_that_is_shown_stays_hidden(plant):
    asked = Seclusion((str(plant), str(plant / "store/deep")), (str(plant / "store"),))
    assert held(asked, (plant / "store/secret").read_text) == told("store/secret")
    assert held(asked, (plant / "store/deep/code").read_text) == held(asked, (plant / "beside").read_text) == REFUSED


def test_what_was_hidden_twice_is_shown_when_both_are_done_with_it(plant, monkeypatch):
    monkeypatch.setattr(landlock, "_hidden", Counter())
    store, within = plant / "store", plant / "store/deep"
    for folder in (store, plant / "way", within):  # the second leads to the first
        landlock.hide(folder)
    assert landlock.hidden() == [str(store)]
    landlock.show(store)
    assert landlock.hidden() == [str(store)]
    landlock.show(store)
    assert landlock.hidden() == [str(within)]


def test_a_model_gets_nothing_of_home_and_store_and_has_its_own_folder(plant, monkeypatch):
    monkeypatch.setattr(landlock, "_hidden", Counter())
    landlock.hide(plant / "store")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 -- as a model would
    code = f"""
import os, subprocess
def f(t, u, p):
    for path in ({str(plant / "store" / "secret")!r}, {str(home)!r}):
        try: print("got", open(path).read() if os.path.isfile(path) else os.listdir(path))
        except PermissionError: print("nothing")
    open("own", "w").write("mine")
    print(open("own").read(), subprocess.run(["/bin/echo", "started"], capture_output=True, text=True).stdout)
    return (1.0,)
"""
    definition = made(TEXT, f_py=code)
    sandbox = Sandbox()
    try:
        data = definition.as_data()
        payload = {"model": data, "parameters": {}, "states": {}, "times": np.arange(1.0), "seed": 0}
        payload["inputs"] = np.zeros((1, 0))
        prepared: dict[str, Any] = {"prepare": "twinwright.simulation.worker:prepare", "prepare_payload": {"model": data}}
        outcome = sandbox.run("twinwright.simulation.worker:run", payload, limits=Limits(), files=definition.artefacts, **prepared)
    finally:
        sandbox.close()
    refused = 2 * outcome.log.count("mine started") if KERNEL else 0
    assert (outcome.log.count("nothing"), "got" in outcome.log) == (refused, not KERNEL), outcome.log
    assert "mine started" in outcome.log
