"""Data Docs of a partition by Great Expectations itself."""

from pathlib import Path

import pandas as pd
import pytest

import mlpipe as ml
from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.index.shelf import open_shelf
from mlpipe.stages.data_docs import rows_of, write
from mlpipe.stores.store import Store
from mlpipe_tests.orchestration import shop as rows
from mlpipe_tests.orchestration.shop import shop
from mlpipe_tests.views.story import story

EVIL = "<script>alert(1)</script>"


def spec(**contract: object) -> ml.Pipeline:
    return shop(source=ml.Load(rows.orders, event_time="at", contract=ml.Contract(**contract)))


def test_the_pages_say_which_expectations_are_met(tmp_path: Path) -> None:
    made = spec(
        columns={"size": {"min": 0, "max": 10, "nullable": False}, "city": {"allowed": ["a", "b"]}}
    ).spec
    frame = pd.DataFrame({"size": [1.0, 99.0], "city": ["a", EVIL]})
    assert write(made, "2024-01-05", {"rows": frame}, tmp_path / "docs") == {"rows": False}
    pages = list((tmp_path / "docs").rglob("*.html"))
    assert (tmp_path / "docs/index.html") in pages
    (validation,) = [p for p in pages if "validations" in p.parts]
    text = validation.read_text()
    assert (
        "2024-01-05" in validation.name
        and "99" in text
        and EVIL not in text
        and "&lt;script&gt;alert" in text
    )
    assert len([p for p in pages if "expectations" in p.parts]) == 1
    with pytest.raises(MlpipeError, match="nothing is written over"):
        write(made, "2024-01-05", {"rows": frame}, tmp_path / "docs")


def test_a_contract_that_asks_for_nothing_has_no_pages(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no contract of shop asks for anything"):
        write(spec().spec, "2024-01-05", {"rows": pd.DataFrame({"size": [1.0]})}, tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


def test_the_rows_are_those_of_the_record() -> None:
    past = story()
    with open_shelf(past.store) as shelf:
        raw = shelf.latest("churn/raw")
    store = Store.open(past.store)
    found = rows_of(past.spec, store, raw)
    assert {n: len(f) for n, f in found.items()} == {o.name: o.rows for o in raw.outputs if o.name in found}
    assert set(found) == set(past.spec.sources)
