"""Interfaces that change under twins that live: what a migration says, and one function through which old records are read as new ones.

History is never rewritten. A record is kept under the path and in the unit in which it came; whoever reads it names the version of the
interface, and gets the path, type and unit of that one.
"""

from twinwright.twins.evolution.lineage import NO_LINEAGES, Lineages
from twinwright.twins.evolution.migration import MOVED, Migration, compile_migrations
from twinwright.twins.evolution.view import UNCHANGED, Evolution, EvolvedStore

__all__ = ["MOVED", "NO_LINEAGES", "UNCHANGED", "Evolution", "EvolvedStore", "Lineages", "Migration", "compile_migrations"]
