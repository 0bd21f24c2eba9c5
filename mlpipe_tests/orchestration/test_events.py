"""Which materialization a run reads, and what of a record people see."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from mlpipe.orchestration.events import (
    DagsterHeads,
    harmless,
    head_of_event,
    memory_of,
    metadata_of,
    plain,
    remembered,
)
from mlpipe.records.codec import sealed
from mlpipe.records.record import Found, Output, Record
from mlpipe_tests.orchestration.conftest import FIRST, World

ASSET = "shop/model"


def record(name: str, run: str = "", experiment: str = "", partition: str = FIRST) -> Record:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    return sealed(
        Record(
            pipeline="shop",
            deployment="dev",
            stage="train",
            asset=ASSET,
            partition=partition,
            run=run,
            as_of=moment,
            recorded_at=moment,
            experiment=experiment,
            outputs=(Output(name="bundle", id=name),),
            headline=name,
        )
    )


class Runs:
    """Dagster runs that materialize the model asset when told to, so that they can be interleaved."""

    def __init__(self, on: dg.DagsterInstance) -> None:
        self.on = on

    def make(self, name: str, experiment: str = "", partition: str = FIRST) -> str:
        """A run that makes `name`; its id."""

        @dg.asset(key=ASSET.split("/"), partitions_def=dg.StaticPartitionsDefinition([FIRST, "other"]))
        def model(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            made = record(name, context.run.run_id, experiment, partition)
            return dg.MaterializeResult(metadata=metadata_of(made))

        return dg.materialize([model], instance=self.on, partition_key=partition).run_id


def read(on: dg.DagsterInstance, run_id: str, started: float, keys: tuple[str, ...] = (FIRST,)) -> list[str]:
    found = DagsterHeads(on, run_id, started).find(ASSET, keys)
    return [found[k].outputs["bundle"].id for k in keys if k in found]


def test_of_two_interleaved_runs_each_reads_its_own(on: dg.DagsterInstance) -> None:
    runs = Runs(on)
    runs.make("before")
    start_of_both = time.time()
    first = runs.make("first")
    second = runs.make("second")
    # The second run wrote last: "the newest" would give its model to the first run too.
    assert read(on, first, start_of_both) == ["first"]
    assert read(on, second, start_of_both) == ["second"]
    # A third, started with them, that made nothing reads what was there at its start; one started now the newest.
    assert read(on, "third", start_of_both) == ["before"]
    assert read(on, "fourth", time.time()) == ["second"]


def test_an_experiment_is_read_by_its_own_run_alone(on: dg.DagsterInstance) -> None:
    runs = Runs(on)
    runs.make("real")
    trial = runs.make("trial", experiment="wider")
    assert read(on, "later", time.time()) == ["real"]
    assert read(on, trial, time.time()) == ["trial"]


def test_what_was_found_stays_for_the_whole_run_and_what_it_makes_shows_at_once(
    on: dg.DagsterInstance,
) -> None:
    runs = Runs(on)
    runs.make("old")
    heads = DagsterHeads(on, "mine", time.time() + 3600)
    assert heads.find(ASSET, [FIRST])[FIRST].outputs["bundle"].id == "old"
    runs.make("new")
    assert heads.find(ASSET, [FIRST])[FIRST].outputs["bundle"].id == "old"
    made = heads.find(ASSET, [FIRST])[FIRST]
    heads.add(replace(made, outputs={"bundle": Output(name="bundle", id="own")}))
    assert heads.find(ASSET, [FIRST])[FIRST].outputs["bundle"].id == "own"


def test_partitions_are_told_apart_and_the_unknown_are_absent(on: dg.DagsterInstance) -> None:
    runs = Runs(on)
    runs.make("a"), runs.make("b", partition="other")
    assert read(on, "x", time.time(), (FIRST, "other", "2030-01-01")) == ["a", "b"]


def test_a_run_looks_for_news_once_and_of_what_it_makes_whenever_it_asks(
    on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, fetch = Runs(on), on.fetch_materializations
    asked: list[Any] = []

    def counted(*args: Any, **more: Any) -> Any:
        asked.append(args)
        return fetch(*args, **more)

    monkeypatch.setattr(on, "fetch_materializations", counted)
    runs.make("first")
    with remembered(on):
        memory = memory_of(on)
        assert memory is not None
        assert read(on, "x", time.time()) == ["first"] and len(asked) == 1
        runs.make("second")
        assert read(on, "x", time.time()) == ["first"] and len(asked) == 1, "nobody said that there is news"
        memory.made(dg.AssetKey(ASSET.split("/")))
        assert read(on, "x", time.time()) == ["second"] and len(asked) == 2
        runs.make("third")
        assert read(on, "x", time.time()) == ["third"] and len(asked) == 3, "whenever it asks"
        memory.ended()
        runs.make("fourth")
        assert read(on, "x", time.time()) == ["fourth"] and read(on, "x", time.time()) == ["fourth"]
        assert len(asked) == 4, "the next run looks once"
    assert memory_of(on) is None


def test_a_foreign_materialization_is_no_head(on: dg.DagsterInstance) -> None:
    on.report_runless_asset_event(dg.AssetMaterialization(ASSET.split("/"), partition=FIRST))
    event = on.fetch_materializations(dg.AssetKey(ASSET.split("/")), limit=1).records[0]
    assert head_of_event(event) is None and read(on, "x", time.time()) == []


def test_a_head_read_back_is_the_head_of_the_record(world: World) -> None:
    event = next(e for e in world.events("raw") if e.partition_key == FIRST)
    head = head_of_event(event)
    assert head is not None and head.asset == "shop/raw" and head.event == str(event.storage_id)
    assert head.outputs and head.trigger == "manual"


# -- what strangers write -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("<!-- x", "&lt;!-- x"),
        ("a < b, 3 <4", "a < b, 3 <4"),
        ("![pixel](https://elsewhere.example/p.png)", r"!\[pixel](https://elsewhere.example/p.png)"),
        ("![curve](data:image/svg+xml;base64,AAAA)", "![curve](data:image/svg+xml;base64,AAAA)"),
        ("**bold** `code`", "**bold** `code`"),
    ],
)
def test_markdown_of_strangers_holds_no_html_and_fetches_nothing(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_plain_text_shows_every_character() -> None:
    assert plain("[a](b) *c* _d_ <i>") == r"\[a\](b) \*c\* \_d\_ &lt;i>"


def test_a_column_name_cannot_put_html_into_the_summary_or_the_findings() -> None:
    bad = "<img src=x onerror=alert(1)>"
    made = record("a").model_copy(
        update={"headline": f"column {bad}", "findings": (Found(what=bad, where="here"),)}
    )
    shown = metadata_of(made)
    for name in ("summary", "findings"):
        assert "<img" not in str(shown[name].value) and "&lt;img" in str(shown[name].value)
