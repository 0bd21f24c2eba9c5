"""What was made from what, on the story: up, down, overtaken; and against the inputs of all records as they stand in the store."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mlpipe.errors import NotFoundError
from mlpipe.index.impact import impact
from mlpipe.index.lineage import descendants, prediction_of, trace
from mlpipe.index.place import VARIABLE
from mlpipe.index.shelf import open_shelf
from mlpipe.index.staleness import stale
from mlpipe.records.codec import from_bytes
from mlpipe.stages import ingest, train
from mlpipe.stages.context import MemoryHeads
from mlpipe.stages.predict import prediction_ids
from mlpipe.stores.store import Store
from mlpipe_tests.index.conftest import emptied
from mlpipe_tests.stages.pipelines import DATA, World, day, rows, save
from mlpipe_tests.views.story import APPEARS, LAST, SECOND, clock, story


def test_predictions_go_back_to_rows_and_to_the_rows_that_the_model_learned_from() -> None:
    with open_shelf(story().store) as shelf:
        root = trace(shelf, shelf.newest("churn/predictions", day(40)))
    told = [b for b in root.walk() if not b.again]
    spans = {(b.asset, len(b.records), b.records[0].partition) for b in told}
    assert ("churn/raw", 1, day(40)) in spans and ("churn/raw", 20, day(16)) in spans
    assert ("churn/model", 1, day(SECOND)) in spans
    # What two branches have in common is told once.
    assert sum(b.asset == "churn/raw" and b.again for b in root.walk()) == 3


def test_a_trace_holds_every_record_behind_one_and_no_other() -> None:
    store = Store.open(story().store)
    every = {i: from_bytes(d) for i, d in store.records("churn")}
    with open_shelf(story().store) as shelf:
        evaluation = shelf.newest("churn/evaluation", day(SECOND))
        found = {r.id for b in trace(shelf, evaluation).walk() for r in b.records}
    wanted, front = {evaluation.id}, [evaluation]
    while front:
        behind = {i.record for r in front for i in r.inputs if i.record and i.name != "champion"} - wanted
        wanted |= behind
        front = [every[i] for i in behind]
    assert found == wanted


def test_a_prediction_is_found_by_its_id_alone() -> None:
    with open_shelf(story().store) as shelf:
        for n in (30, 45):
            record = shelf.newest("churn/predictions", day(n))
            given = {i.name: i.id for i in record.inputs}
            name = prediction_ids(given["features"], given["champion"], np.array([7]))[0]
            assert prediction_of(shelf, name) == (record, 7)
        for bad, word in (("p-12", "no id of a prediction"), ("p-0123456789abcdef-1", "no predictions hold")):
            with pytest.raises(NotFoundError, match=word):
                prediction_of(shelf, bad)


def test_descendants_are_those_that_name_a_record_among_what_they_read() -> None:
    store = Store.open(story().store)
    every = {i: from_bytes(d) for i, d in store.records("churn")}
    with open_shelf(story().store) as shelf:
        raw = shelf.newest("churn/raw", day(30))
        found = [n.id for n in descendants(shelf, [raw.id])]
    wanted: set[str] = {raw.id}
    while True:
        more = {
            i
            for i, r in every.items()
            for g in r.inputs
            if g.record in wanted
            and (r.stage, g.name) not in {("evaluate", "champion"), ("monitor", "anchor")}
        }
        if more <= wanted:
            break
        wanted |= more
    assert set(found) == wanted - {raw.id} and len(found) == len(set(found))


def test_a_day_has_an_impact_on_the_model_that_learned_from_it() -> None:
    with open_shelf(story().store) as shelf:
        late, early = impact(shelf, day(30)), impact(shelf, day(10))
    assert list(late.live.values()) == ["churn@2"] and not early.live
    counts = {a: len(nodes) for a, nodes in late.assets().items()}
    assert counts["churn/model"] == counts["churn/evaluation"] == counts["churn/features"] == 1
    # Its own predictions, and all by the model that learned from it.
    assert counts["churn/predictions"] == 1 + LAST - SECOND
    assert list(late.assets()) == [
        f"churn/{a}"
        for a in (
            "validated",
            "features",
            "labels",
            "model",
            "evaluation",
            "release",
            "predictions",
            "monitor",
        )
    ]


def test_a_column_has_an_impact_on_what_has_it_as_a_feature() -> None:
    with open_shelf(story().store) as shelf:
        new, same, old, label = (impact(shelf, name) for name in ("promo", "rows.promo", "hours", "churned"))
    assert len(new.begin) == LAST - APPEARS and {n.id for n in new.made} == {n.id for n in same.made}
    models = {
        a: {n.partition for n in i.assets()["churn/model"]}
        for a, i in (("new", new), ("old", old), ("label", label))
    }
    assert models == {"new": {day(SECOND)}, "old": {day(21), day(SECOND)}, "label": {day(21), day(SECOND)}}
    assert not new.perhaps and not label.perhaps and list(new.live.values()) == ["churn@2"]
    assert "churn/features" not in label.assets() and len(label.assets()["churn/labels"]) == LAST


def test_a_column_that_a_function_may_have_read_is_told_as_perhaps() -> None:
    with open_shelf(story().store) as shelf:
        found = impact(shelf, "user")
    assert {n.id for n in found.assets()["churn/features"]} <= found.perhaps
    assert {n.id for n in found.assets()["churn/validated"]}.isdisjoint(found.perhaps)


def test_what_nobody_knows_is_an_error_that_lists_what_may_be_named() -> None:
    with open_shelf(story().store) as shelf:
        with pytest.raises(NotFoundError, match="a column, may be named"):
            impact(shelf, "nothing")
        with pytest.raises(NotFoundError, match="Did you mean the column 'promo'"):
            impact(shelf, "rows.prom")


@pytest.fixture
def changed(tmp_path: Path) -> World:
    """The story in a place of its own, with day 30 ingested again from other rows."""
    shutil.copytree(story().folder, tmp_path / "story")
    store = Store.open(tmp_path / "story/store")
    world = World(tmp_path / "story/store", MemoryHeads.of_store(store, "churn"))
    save(rows(day(30)).assign(hours=1.0, promo=0.5), tmp_path / "story/data" / f"{day(30)}.parquet")
    return world


def test_nothing_is_stale_in_the_story_as_it_was() -> None:
    with open_shelf(story().store) as shelf:
        assert stale(shelf, ["churn"], history=True) == []


def test_what_read_rows_that_changed_is_stale_until_it_is_made_again(changed: World, tmp_path: Path) -> None:
    spec = story().spec.model_copy(update={"base_dir": tmp_path / "story/data"})
    changed.run(ingest.STAGE, spec, [day(30)], clock(LAST + 1))
    with open_shelf(str(tmp_path / "story/store")) as shelf:
        found = stale(shelf, ["churn"])
        assert {s.node.asset for s in found} == {"churn/validated", "churn/features", "churn/labels"}
        assert {w.asset for s in found for w in s.why} == {"churn/raw"} and {
            s.node.partition for s in found
        } == {day(30)}
    changed.run_all(DATA, spec, [day(30)], clock(LAST + 2))
    with open_shelf(str(tmp_path / "story/store")) as shelf:
        found = stale(shelf, ["churn"])
    assets = {s.node.asset.rpartition("/")[2] for s in found}
    # The evaluation judges on later days; it will be overtaken by that of a new model.
    assert assets == {"model", "predictions", "monitor"}
    model = next(s for s in found if s.node.asset == "churn/model")
    assert [(w.asset, w.partition) for w in model.why] == [("churn/features", day(30))]
    assert {s.node.partition for s in found if s.node.asset == "churn/predictions"} == {day(30)}
    # A model that is learned again for its partition overtakes its evaluation, and nothing that the version in production made.
    changed.run(train.STAGE, spec, [day(SECOND)], clock(LAST + 3))
    with open_shelf(str(tmp_path / "story/store")) as shelf:
        found = stale(shelf, ["churn"])
    because = {(s.node.asset, w.asset) for s in found for w in s.why}
    assert {reader for reader, read in because if read == "churn/model"} == {"churn/evaluation"}


def test_what_was_made_again_with_the_same_content_overtakes_nothing(changed: World, tmp_path: Path) -> None:
    save(rows(day(5)), tmp_path / "story/data" / f"{day(5)}.parquet")
    spec = story().spec.model_copy(update={"base_dir": tmp_path / "story/data"})
    changed.run(ingest.STAGE, spec, [day(5)], clock(LAST + 1))
    with open_shelf(str(tmp_path / "story/store")) as shelf:
        assert stale(shelf, ["churn"]) == []


def test_postgres_answers_the_same(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_STORE", story().store)
    monkeypatch.setenv(VARIABLE, emptied(server))
    answers = []
    for url in (None, str(Path(story().store) / ".." / "store")):
        with open_shelf(url) as shelf:
            assert shelf.index.url.startswith("postgres") == (url is None)
            found, version = impact(shelf, "promo"), shelf.one("churn@production")
            raw = shelf.newest("churn/raw", day(3), clock(60))
            past = stale(shelf, ["churn"], history=True)
            answers.append((found.made, found.live, past, version, shelf.monitor_of(version), raw))
    assert answers[0] == answers[1] and len(answers[0][0]) > 100
