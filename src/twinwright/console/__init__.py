"""The web console: what a plant engineer looks at. `mount` is given to `twinwright.api.app.create_app`."""

from importlib.util import find_spec

from twinwright.errors import MissingExtraError

if find_spec("nicegui") is None:
    raise MissingExtraError("console", "the web console")

from twinwright.console.mounting import mount

__all__ = ["mount"]
