"""A record is judged by what was known when it arrived: a late reading changes nothing for its neighbours."""

import numpy as np
import pyarrow as pa

from twinwright.twins import judged


def apply(monkeypatch):
    whole = judged._of_one_series

    def frozen(rows, criteria):
        commits = rows["commit"].to_numpy()
        bits = np.zeros(len(rows), np.uint8)
        for at in range(len(rows)):
            known = np.flatnonzero(commits <= commits[at])
            bits[at] = whole(rows.take(pa.array(known)), criteria)[np.searchsorted(known, at)]
        return bits

    monkeypatch.setattr(judged, "_of_one_series", frozen)
