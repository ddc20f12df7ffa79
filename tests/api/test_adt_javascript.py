"""The stock JavaScript client of Azure Digital Twins, unmodified, through every operation that it has, over TLS."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.running import Up, write

HERE = Path(__file__).parent / "javascript"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinwright"


@pytest.fixture(scope="module")
def program() -> Path:
    """The program beside its packages, which npm brings as locked: when first asked for, and again when the lock has changed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node and npm are not on this machine")
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes() + (HERE / "package.json").read_bytes())
    folder = CACHE / f"javascript-{digest.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "javascript.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one installs for all
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, part)
            line = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(line, cwd=part, capture_output=True, text=True, timeout=250)
            assert done.returncode == 0, f"npm did not bring the client: {(done.stdout + done.stderr)[-1000:]}"
            part.rename(folder)
        return Path(shutil.copy(HERE / "client.mjs", folder))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Up]:
    up = Up(write(tmp_path, {"twinwright.toml": "[api]\nconsole = false\n"}), "--tls", "auto")
    yield up
    assert up.stop() == 0


def test_every_operation(program: Path, running: Up) -> None:
    token = running.headers["authorization"].removeprefix("Bearer ")
    environment = {**os.environ, "TOKEN": token, "NODE_EXTRA_CA_CERTS": running.said["certificate"]}
    done = subprocess.run(["node", str(program), running.url], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["operations"]) == 24 and set(told["calls"]) == set(told["operations"])
    untrusting = {name: value for name, value in environment.items() if name != "NODE_EXTRA_CA_CERTS"}
    refused = subprocess.run(["node", str(program), running.url], env=untrusting, capture_output=True, text=True, timeout=120)
    assert refused.returncode != 0 and "self-signed certificate" in refused.stderr
