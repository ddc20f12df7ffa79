"""Which executor runs are given to: what is asked for, or what the settings say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from twinwright.errors import ForbiddenError, UsageError
from twinwright.simulation.executor import Executor
from twinwright.workspace.settings import SimulationSettings

if TYPE_CHECKING:
    from twinwright.platform.session import Session

LOCAL: Final = "local"


def chosen_executor(session: Session, named: str | None, *, owner: bool) -> Executor | None:
    """The executor that is named, else that of the settings; None: children of this process.

    Raises UsageError for one that there can't be, MissingExtraError, ForbiddenError where a client of the API names one: it would have the
    platform connect to where it likes.
    """
    if named is not None and not owner:
        raise ForbiddenError(
            "a client does not choose the executor", where="executor", remedy="Set executor in [simulation] of twinwright.toml"
        )
    settings = session.settings.simulation
    text = named or settings.executor or LOCAL
    if text == LOCAL:
        return None
    from twinwright.simulation.dask_executor import Certificates, executor_of

    files = _files(session.folder, settings)
    return executor_of(text, Certificates(*files) if files else None)


def _files(folder: Path, settings: SimulationSettings) -> tuple[Path, Path, Path] | None:
    names = settings.dask_ca, settings.dask_certificate, settings.dask_key
    given = [folder / name for name in names if name]
    if not given:
        return None
    if len(given) < len(names):
        remedy = "Set all of dask_ca, dask_certificate and dask_key in [simulation]"
        raise UsageError("the certificates are not complete", where="twinwright.toml", remedy=remedy)
    for path in given:
        if not path.is_file():
            raise UsageError("there is no such file", where=str(path), remedy="Correct its name in [simulation] of twinwright.toml")
    ca, certificate, key = given
    return ca, certificate, key
