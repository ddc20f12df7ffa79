"""A workspace folder, loaded and checked whole: every problem with file, line and remedy, before anything starts."""

from twinwright.workspace.load import Workspace, load_workspace, read_workspace
from twinwright.workspace.settings import Settings

__all__ = ["Settings", "Workspace", "load_workspace", "read_workspace"]
