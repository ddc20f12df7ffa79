"""Runs on the workers of a real scheduler: the same outcomes and bytes as here, contained in the same way, over the loss of a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.platform.slow_plant import slow_plant, sweep
from tests.simulation.dask_cluster import Cluster
from tests.simulation.kinds import function

from twinwright.errors import ForbiddenError, PlatformError, RefusedError, UsageError
from twinwright.governance.principals import LOCAL_ADMIN
from twinwright.platform.local import LocalPlatform
from twinwright.simulation import dask_executor, plain_data
from twinwright.simulation.dask_executor import Certificates, executor_of
from twinwright.simulation.executor import Work, run_all
from twinwright.simulation.outcomes import Cancelled, Failure, Limits, Success

SLEEPS = "__import__('time').sleep(1e5)\n    return [u[0]]"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("dask"), 2)
    yield running
    running.close()


def work(body: str, count: int, limits: Limits | None = None) -> list[Work]:
    definition = function(body)
    payload = {"model": definition.as_data(), "parameters": {}, "states": {}, "seed": 0, "times": np.arange(3.0)}
    return [Work(definition, {**payload, "inputs": np.full((3, 1), float(k))}, limits or Limits(60.0)) for k in range(count)]


def test_outcomes_are_those_of_here_however_a_run_ends(cluster: Cluster) -> None:
    """Numbers, log, exceptions, exits, crashes and hangs: told apart there as here, and the workers go on."""
    body = (
        "import os, time, math\n    print('said', u[0])\n    len(os.environ) == 0 or 1 / 0\n"
        "    {1: lambda: os._exit(3), 2: os.abort, 3: lambda: [][0], 4: lambda: time.sleep(60)}.get(int(u[0]), int)()\n"
        "    return [math.exp(u[0] + t)]"
    )
    jobs = work(body, 8)
    jobs[4] = msgspec.structs.replace(jobs[4], limits=Limits(3.0))
    there, here = dict(executor_of(cluster.address, None).run_all(jobs)), dict(run_all(jobs))
    assert there.keys() == here.keys() == set(range(8))
    for index, one in here.items():
        other = there[index]
        assert type(other) is type(one) and ("said" in other.log) == ("said" in one.log)
        if isinstance(one, Success):
            assert other.result["outputs"].tobytes() == one.result["outputs"].tobytes()
            assert other.cost.network_cut == one.cost.network_cut
        else:
            assert (other.kind, other.message) == (one.kind, one.message)
    assert [one.kind for one in here.values() if isinstance(one, Failure)].count("timeout") == 1


def test_a_run_has_the_same_digest_and_is_verified_here(cluster: Cluster, tmp_path: Path) -> None:
    platform = LocalPlatform.open(slow_plant(tmp_path / "plant"))
    try:
        platform.apply()
        there = platform.simulate(sweep(3, 0.0), executor=cluster.address)["runs"]
        here = platform.simulate(sweep(3, 0.0), fresh=True)["runs"]
        assert [(one["digest"], one["outputs"]) for one in there] == [(one["digest"], one["outputs"]) for one in here]
        assert platform.verify_run(there[2]["id"])["verified"] is True
        request = platform.submit_run(sweep(4, 0.0), executor=cluster.address, fresh=True)
        assert platform.watch_request(request["id"])["ok"] == 4
        with pytest.raises(ForbiddenError, match="a client does not choose"):
            platform.as_principal(LOCAL_ADMIN).simulate(sweep(1), executor=cluster.address)
    finally:
        platform.close()


def test_a_worker_of_other_versions_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "engine_versions", lambda: {"numpy": "0"})
    with pytest.raises(RefusedError, match="a worker has other versions"):
        list(executor_of(cluster.address, None).run_all(work("return [0.0]", 1)))


def test_a_cancel_ends_what_runs_there(cluster: Cluster) -> None:
    """Children that would go on for days: the workers are free again."""
    cancel = threading.Event()
    later = threading.Timer(8.0, cancel.set)  # which run of several is first is the scheduler's business: none of these answers
    later.start()
    with pytest.raises(Cancelled):
        list(executor_of(cluster.address, None).run_all(work(SLEEPS, 6, Limits(1e5)), cancel))
    later.join()
    found = dict(executor_of(cluster.address, None).run_all(work("return [u[0]]", 4)))
    assert all(isinstance(one, Success) for one in found.values()) and found.keys() == set(range(4))


def test_what_a_lost_worker_had_is_run_by_another(cluster: Cluster) -> None:
    """Killed in the middle: every run has its own answer, once."""
    jobs = work("__import__('time').sleep(0.1 if t == 0 else 0)\n    return [u[0]]", 24)
    found: dict[int, float] = {}
    for index, outcome in executor_of(cluster.address, None).run_all(jobs):
        assert isinstance(outcome, Success) and index not in found
        found[index] = outcome.result["outputs"][0, 0]
        if len(found) == 3:
            cluster.workers[0].kill()
    assert found == {index: float(index) for index in range(24)}


def test_an_executor_that_gives_up_lost_work_is_caught(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.add_worker()
    while sum(one.poll() is None for one in cluster.workers) < 2:
        pass
    monkeypatch.setattr(dask_executor._Request, "_answers", lambda self, future, batch: iter(()))
    with pytest.raises(AssertionError):
        assert dict(executor_of(cluster.address, None).run_all(work("return [u[0]]", 2))).keys() == {0, 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dask://plant.example:8786", "unencrypted"),
        ("dask://10.0.0.1:8786", "unencrypted"),
        ("dask://127.0.0.1.plant.example:8786", "unencrypted"),
        ("tls://10.0.0.1:8786", "no certificates"),
        ("tcp://127.0.0.1:8786", "there is no executor"),
        ("dask://127.0.0.1", "there is no executor"),
        ("dask://127.0.0.1:port", "there is no executor"),
        ("elsewhere", "there is no executor"),
    ],
)
def test_an_address_that_can_not_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        executor_of(text, None)


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "_CONNECT_SECONDS", 1.0)
    with pytest.raises(PlatformError, match="the scheduler does not answer"):
        list(executor_of("dask://127.0.0.1:9", None).run_all(work("return [0.0]", 1)))


@pytest.mark.parametrize("body", [b"", b"\xc1", plain_data.encode(None), plain_data.encode({"outcomes": [{}]}), 7])
def test_what_is_no_answer_of_ours_is_a_failed_run(body: object) -> None:
    told = dask_executor._decoded(body).get("outcomes", [None])
    outcome = dask_executor._outcome(told[0])
    assert isinstance(outcome, Failure) and outcome.kind == "refused"


def test_over_tls_with_certificates(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    files = Certificates(certificate, certificate, key)  # signed by itself: its own authority
    options = ["--protocol", "tls", "--tls-ca-file", str(certificate), "--tls-cert", str(certificate), "--tls-key", str(key)]
    cluster = Cluster(tmp_path, 1, options)
    try:
        assert cluster.address.startswith("tls://")
        (found,) = executor_of(cluster.address, files).run_all(work("return [u[0] + 1]", 1))
        assert isinstance(found[1], Success) and found[1].result["outputs"][0, 0] == 1.0
    finally:
        cluster.close()


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate that servers and clients may show, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cluster")])
    builder = x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate, key = folder / "cluster.pem", folder / "cluster-key.pem"
    certificate.write_bytes(builder.sign(secret, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate, key
