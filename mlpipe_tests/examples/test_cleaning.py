"""The example of docs/cleaning.md, run by Dagster in this process: what the page says comes out, comes out."""

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlpipe.core.form import KINDS, WORDS
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import now, open_store, store_url
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.spec.cleaning import OPTIONS
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.yaml_file import build_mapping, read
from mlpipe.stores.store import Store
from mlpipe_tests.house import ROOT

PAGE = (ROOT / "docs/cleaning.md").read_text()
FIRST, MESSY, LAST, TRAIN_AT = "2024-03-01", "2024-03-09", "2024-03-15", "2024-03-16"


def fenced(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, flags=re.M | re.S)
    assert found, f"docs/cleaning.md holds no block of {language}"
    return found[1]


def spelled(day: pd.Timestamp) -> list[str]:
    """Fifty orders of a day in the spellings of the page; large ones by phone are sent back."""
    rng = np.random.default_rng(day.toordinal())
    lines = []
    for n in range(50):
        at = day + pd.Timedelta(minutes=10 + int(rng.integers(0, 1400)))
        amount, age = rng.gamma(2.0, 100.0), int(rng.integers(18, 90))
        back = amount + 2 * age + rng.normal(0, 40) > 320
        times = (
            f"{at:%Y-%m-%d %H:%M}",
            f"{at:%d.%m.%Y %H:%M}",
            str(int(at.tz_localize("Europe/Berlin").timestamp())),
        )
        money = f"{amount:,.2f}".replace(",", "#").replace(".", ",").replace("#", ".")
        years = rng.choice([str(age), str(age), "-1", ""])
        word = rng.choice(["Web", "web ", "www", "shop", "SHOP"])
        lines.append(f"{day.day * 100 + n};{times[n % 3]};{money};{word};{years};{'YES' if back else 'no'}")
    return lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the page, in which everything has run."""
    made = tmp_path_factory.mktemp("orders")
    days = [line for day in pd.date_range(FIRST, LAST) for line in spelled(day)]
    head, *page = fenced("csv").splitlines()
    (made / "orders.csv").write_text("\n".join([head, *days, *page]) + "\n")
    (made / "definitions.py").write_text(fenced("python"))
    (made / "home").mkdir()
    (made / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return made


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("MLPIPE_STORE", str(folder / "store"))
        sys.modules.pop("definitions", None)
        yield import_module("definitions")
        sys.modules.pop("definitions", None)


@pytest.fixture(scope="module")
def records(folder: Path, pipeline: Any) -> Iterator[dict[tuple[str, str], Record]]:
    """Records of everything that ran, by asset and partition."""
    spec: PipelineSpec = pipeline.orders.spec
    with dg.DagsterInstance.from_config(str(folder / "home")) as on:
        run(spec, pipeline.defs, on, Request("ingest", FIRST, LAST))
        run(spec, pipeline.defs, on, Request("training", TRAIN_AT, TRAIN_AT))
        heads = DagsterHeads(on, "", now().timestamp())
        store = open_store(store_url(spec))
        found = {}
        for asset in ("raw", "validated", "features", "labels", "model"):
            for key, head in heads.find(f"orders/{asset}", [MESSY, TRAIN_AT]).items():
                found[asset, key] = from_bytes(store.get_record("orders", head.record))
        yield found


def store_of(pipeline: Any) -> Store:
    return open_store(store_url(pipeline.orders.spec))


def test_the_page_says_what_comes_out(records: dict[tuple[str, str], Record]) -> None:
    said = []
    for asset, key in (("raw", MESSY), ("validated", MESSY), ("model", TRAIN_AT)):
        for found in records[asset, key].findings:
            said.append(f"{asset}: {': '.join(x for x in (found.where, found.what) if x)}")
    assert fenced("text").splitlines() == said, "\n".join(said)


def test_both_doors_say_the_same(folder: Path, pipeline: Any) -> None:
    ((document, lines),) = read(fenced("yaml"), "defs.yaml")
    spec = build_mapping(
        document["attributes"], lines, file="defs.yaml", prefix=("attributes",), base_dir=folder
    )
    mine, theirs = (
        spec.model_dump(exclude={"where", "model"}),
        pipeline.orders.spec.model_dump(exclude={"where", "model"}),
    )
    assert mine == theirs and repr(spec.model.estimator) == repr(pipeline.orders.spec.model.estimator)


def test_raw_is_as_it_came_and_everything_behind_it_is_in_its_form(
    records: dict[tuple[str, str], Record], pipeline: Any
) -> None:
    store = store_of(pipeline)
    raw = store.get_table(records["raw", MESSY].output("rows").id).set_index("order")
    assert raw.loc[[9001, 9003, 9004], "amount"].tolist() == ["1.234,50", "12,00", "on request"]
    assert 9006 not in raw.index
    features = store.get_table(records["features", MESSY].output("features").id).set_index("order")
    assert features.loc[9001, "amount"] == 1234.5 and features.loc[9003, "channel"] == "web"
    assert features.loc[[9002, 9003], "age"].isna().all() and features.loc[9005, "age"] == 214
    assert 9004 not in features.index
    labels = store.get_table(records["labels", MESSY].output("labels").id).set_index("order")
    assert bool(labels.loc[9002, "returned"]) and not labels.loc[9001, "returned"]
    gone = store.get_table(records["validated", MESSY].output("rows/quarantine").id)
    assert gone["value"].tolist() == ["on request"]
    flagged = store.get_table(records["validated", MESSY].output("rows/outliers").id)
    assert flagged["value"].tolist() == [214.0]


def test_the_model_learned_to_fill_what_is_missing(
    records: dict[tuple[str, str], Record], pipeline: Any
) -> None:
    record = records["model", TRAIN_AT]
    assert record.verdict == "trained" and record.data["missing"]["age"]["mechanism"] == "mar"
    bundle = store_of(pipeline).get_bundle(record.output("bundle").id)
    rows = pd.DataFrame({"amount": [900.0, 900.0], "channel": ["web", None], "age": [None, 50.0]})
    assert np.isfinite(bundle.predict(rows)).all()


def test_every_option_stands_on_the_page() -> None:
    for name in {
        *KINDS,
        *WORDS,
        *(o for options in OPTIONS.values() for o in options),
        "mcar",
        "mar",
        "mnar",
        "usual",
    }:
        assert f"`{name}`" in PAGE, name
