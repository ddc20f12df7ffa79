"""What the numbers of a window come to, of each lifetime: as every engine adds them up where they lie."""

from __future__ import annotations

from typing import Final, Literal

import pyarrow as pa

What = Literal["sum", "min", "max", "first", "last"]
TOTAL_SCHEMA: Final = pa.schema(
    [
        ("twin", pa.int32()),
        ("unit", pa.string()),
        ("count", pa.int64()),
        ("value", pa.float64()),
        ("at", pa.int64()),  # the event time of the first or last; of others null
    ]
)
