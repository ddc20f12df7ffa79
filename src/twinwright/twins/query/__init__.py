"""The query language: that of Azure Digital Twins, and over time, with units and aggregates.

text -> parser -> tree -> planner, against the catalogue of the applied interfaces -> SQL with bound values
     -> DuckDB in memory over a columnar projection of the graph, in step with the commit log -> rows -> documents
"""

from twinwright.twins.query.service import Answer, QueryService

__all__ = ["Answer", "QueryService"]
