"""A frame holds what an answer holds, row by row, however the rows come."""

import math
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest

from mlpipe.index import frame as module
from mlpipe.index.frame import USUAL, frame
from mlpipe.index.index import Index
from mlpipe_tests.index.made import STORE
from mlpipe_tests.index.test_queries import RECORDS


@pytest.fixture
def filled(index: Index) -> Index:
    index.add(RECORDS, STORE)
    return index


def plain(value: Any) -> Any:
    """A cell as an answer would hold it: nothing for what is missing."""
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT:
        return None
    return value.item() if hasattr(value, "item") else value


@pytest.mark.parametrize(
    "query",
    [
        "",
        'stage like "%" order by params.a desc, id limit 31',
        "order by metrics.f1, params.b desc",
        "params.a > 1",
        "metrics.f1 > 7",
    ],
)
@pytest.mark.parametrize("page", [1, 7, 2000])
def test_a_frame_holds_what_an_answer_holds(filled: Index, query: str, page: int) -> None:
    with patch.object(module, "PAGE", page):
        made = frame(filled, query, keys=["run", "size", "headline", "deleted", "environment.host"])
    rows = filled.ask(query).rows
    assert len(made) == len(rows)
    shown = {k for row in rows for k in row if k.partition(".")[0] in module.PARTS}
    assert shown <= set(made.columns) and set(USUAL) <= set(made.columns)
    for place, row in enumerate(rows):
        for key in made.columns:
            wanted = row.get(key)
            if isinstance(wanted, datetime):
                wanted = wanted.replace(tzinfo=None)
            have = plain(made[key].iloc[place])
            assert have == wanted or (have is None and wanted is None), (key, place)
