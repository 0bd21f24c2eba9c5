from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlpipe.errors import NotFoundError, QueryError
from mlpipe.index.index import Index
from mlpipe.records.codec import sealed
from mlpipe.records.record import Input, Record
from mlpipe_tests.index.made import STORE, evaluation, metric, record, training


def ids(index: Index, query: str) -> list[str]:
    return [row["id"] for row in index.ask(query).rows]


def test_a_query_finds_sorts_and_limits(index: Index) -> None:
    made = [
        training(d, params={"lr": 10.0**-d, "name": f"n{d}"}, metrics=(metric("f1", 0.5 + d / 10),))
        for d in range(4)
    ]
    assert index.add(made, STORE) == 4
    assert ids(index, "params.lr < 0.5 order by metrics.f1 desc limit 2") == [made[3].id, made[2].id]
    answer = index.ask('params.name = "n1" or metrics.f1 = 0.5 order by started')
    assert (
        [row["params.name"] for row in answer.rows] == ["n0", "n1"] and answer.total == 2 and not answer.more
    )
    assert index.ask("", limit=3).more


def test_a_record_added_twice_is_there_once(index: Index) -> None:
    made = training(1)
    assert index.add([made, made], STORE) == 1
    assert index.add([made], STORE) == 0
    assert index.ask("").total == 1


def test_a_training_shows_what_its_newest_evaluation_measured(index: Index) -> None:
    model = training(1, metrics=(metric("f1", 0.3, "valid"), metric("rows_train", 50.0, "model")))
    index.add([model], STORE)
    assert index.ask("").rows[0]["metrics.f1"] == 0.3
    index.add([evaluation(model, 2, f1=0.7)], STORE)
    row = index.ask("metrics.test.f1 = 0.7").rows[0]
    assert (row["metrics.f1"], row["metrics.valid.f1"], row["metrics.rows_train"]) == (0.7, 0.3, 50.0)
    assert row["metrics.f1.low"] == pytest.approx(0.6)
    index.add([evaluation(model, 4, f1=0.9), evaluation(model, 3, f1=0.8)], STORE)
    assert index.ask("metrics.f1 = 0.7").total == 0 and index.ask("metrics.f1 = 0.9").total == 1


def test_a_training_shows_the_metric_first_that_it_is_judged_by(index: Index) -> None:
    model = training(1)
    read = Input(asset=model.asset, partition=model.partition, record=model.id, name="bundle", id="bundle-1")

    def judged(day: int, primary: str) -> Record:
        values = tuple(metric(n, 0.5, "test") for n in ("brier", "f1", "profit", "roc_auc"))
        return record(day, "evaluate", inputs=(read,), metrics=values, data={"primary": primary})

    index.add([model, judged(2, "profit")], STORE)
    assert index.ask("").rows[0]["data.primary"] == "profit"
    assert index.ask("").keys[-3:] == ("metrics.profit", "metrics.brier", "metrics.f1")
    index.add([judged(3, "roc_auc")], STORE)
    assert (
        index.ask('data.primary = "roc_auc"').total == 1 and index.ask('data.primary = "profit"').total == 0
    )
    assert index.ask("").keys[-3] == "metrics.roc_auc"


def test_evaluation_before_training_makes_the_same_row(index: Index) -> None:
    model = training(1)
    index.add([evaluation(model, 2, f1=0.7)], STORE)
    index.add([model], STORE)
    assert index.ask("metrics.f1 = 0.7").rows[0]["id"] == model.id


def test_a_run_is_a_training_unless_the_query_names_a_stage(index: Index) -> None:
    model, judged = training(1), record(1, "raw")
    index.add([model, judged, record(2, "trial")], STORE)
    assert index.ask("").total == 2
    assert ids(index, 'stage = "raw"') == [judged.id]
    assert ids(index, 'asset = "flights/model"') == [model.id]


def test_references_find_records(index: Index) -> None:
    one, two = training(1), training(2)
    index.add([one, two], STORE)
    assert [r.id for r in index.find(one.id)] == [r.id for r in index.find(one.id[4:16])] == [one.id]
    assert [r.id for r in index.find("run-2")] == [two.id]
    assert {r.id for r in index.find("run")} == {one.id, two.id}
    assert index.one("run-1").store == STORE
    with pytest.raises(NotFoundError, match="means 2 records"):
        index.one("run")
    with pytest.raises(NotFoundError, match="nothing is known by 'flights@1'"):
        index.one("flights@1")


def test_readers_are_found_by_what_they_read(index: Index) -> None:
    model = training(1)
    judged = evaluation(model, 2, f1=0.7)
    index.add([model, judged], STORE)
    assert [r.id for r in index.readers(model.id)] == [judged.id]
    assert index.readers(judged.id) == []


def test_an_unknown_key_is_an_error_with_a_caret_and_close_names(index: Index) -> None:
    index.add([training(1, params={"depth": 3})], STORE)
    with pytest.raises(QueryError) as caught:
        index.ask("verdict is null and params.depht > 2")
    assert str(caught.value).splitlines() == [
        "no record has the key 'params.depht'",
        "  verdict is null and params.depht > 2",
        "                      ^",
        "Did you mean 'params.depth'?",
    ]


def test_the_last_parts_of_a_key_are_enough_where_they_are_unambiguous(index: Index) -> None:
    index.add([training(1, params={"model": {"params": {"lr": 0.1}}})], STORE)
    assert index.ask("params.lr = 0.1").total == index.ask("params.params.lr = 0.1").total == 1
    index.add([training(2, params={"other": {"lr": 0.1}})], STORE)
    with pytest.raises(QueryError, match=r"Name one of them: params\.model\.params\.lr, params\.other\.lr"):
        index.ask("params.lr = 0.1")
    index.add([training(3, params={"lr": 0.1})], STORE)
    assert index.ask("params.lr = 0.1").total == 1


def test_a_metric_is_found_by_its_bare_name(index: Index) -> None:
    model, other = training(1), training(2)
    judged = [evaluation(one, n, f1=0.7, rows=9.0) for n, one in ((3, model), (4, other))]
    more = [
        (metric("looks", 4.0, "locked"), metric("p99_ms", 150.5, "measured")),
        (metric("looks", 3.0, "locked"),),
    ]
    judged = [
        sealed(r.model_copy(update={"id": "", "metrics": (*r.metrics, *m)}))
        for r, m in zip(judged, more, strict=True)
    ]
    index.add([model, other, *judged], STORE)
    assert ids(index, "looks > 3") == ids(index, "p99_ms < 200") == [model.id]
    assert ids(index, "p99_ms < 150.5") == [] and ids(index, "looks >= 3 order by looks") == [
        other.id,
        model.id,
    ]
    assert ids(index, 'stage = "evaluate" and looks > 3') == [judged[0].id]
    assert ids(index, "rows > 5") == [], "a column is meant before a metric"
    with pytest.raises(QueryError, match="no record has the key 'p95_ms'"):
        index.ask("p95_ms < 200")


def test_an_index_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no index"):
        Index.open(str(tmp_path / "index.sqlite"))
    assert list(tmp_path.iterdir()) == []


def test_times_come_back_as_times(index: Index) -> None:
    index.add([training(1)], STORE)
    assert index.ask("").rows[0]["started"] == datetime(2024, 1, 2, 2, tzinfo=UTC)
