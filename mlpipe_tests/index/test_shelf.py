"""How records are found by what people call them, and what lies behind them."""

from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from mlpipe.errors import NotFoundError
from mlpipe.index.index import Index
from mlpipe.index.origins import origin_of
from mlpipe.index.place import VARIABLE
from mlpipe.index.shelf import completed, open_shelf
from mlpipe.ledger import promotion
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.verify import DEPLOYMENTS, meant
from mlpipe.records.codec import to_bytes
from mlpipe.spec.pipeline import Deployment
from mlpipe.stores.store import Store
from mlpipe_tests.index.made import START, record
from mlpipe_tests.views.story import story


def test_a_record_is_found_by_id_beginning_version_partition_and_run() -> None:
    with open_shelf(story().store) as shelf:
        model = shelf.one("churn@2")
        assert model.stage == "train" and model.partition == "2024-02-06"
        for text in (
            model.id,
            model.id[:12],
            model.id[4:12],
            "churn@production",
            "churn/model@2024-02-06",
            model.run,
        ):
            assert shelf.one(text).id == model.id, text
        assert shelf.versions_of(model) == ["churn@2 (production)"]
        evaluation = shelf.evaluation_of(model)
        assert evaluation is not None and evaluation.data["model_record"] == model.id
        live = shelf.monitor_of(model)
        assert live is not None and live.partition == "2024-02-19"
        assert [r.asset for r in shelf.find(evaluation.run)] == ["churn/evaluation"]


def test_an_older_champion_is_judged_by_its_own_evaluation_and_its_own_days() -> None:
    with open_shelf(story().store) as shelf:
        model = shelf.one("churn@1")
        evaluation, live = shelf.evaluation_of(model), shelf.monitor_of(model)
        assert evaluation is not None and evaluation.data["model_record"] == model.id
        assert live is not None and live.partition == "2024-02-05"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("churn", "churn is a pipeline; its versions are churn@1, churn@2"),
        ("churm@1", "Did you mean 'churn'?"),
        ("churn@7", "The newest is 2."),
        ("churn@staging", "Valid: archived, production."),
        ("churn/model@1999-01-01", "PIPELINE/ASSET@PARTITION"),
        ("churn/mode@2024-02-06", "Did you mean 'churn/model'"),
        ("ffffffffffff", "Give an id"),
        ("rec-", "Name one of them"),
    ],
)
def test_what_means_nothing_or_several_is_an_error_with_a_way_out(text: str, hint: str) -> None:
    with open_shelf(story().store) as shelf, pytest.raises(NotFoundError) as error:
        shelf.one(text)
    assert hint in str(error.value)


def test_what_a_replay_made_does_not_stand_for_what_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "index.sqlite"))
    store = Store.open(str(tmp_path / "store"))
    for chain in ("prod", "replay-1", "policy-monthly-2"):
        fields = {"actor": "ann", "reason": "a test", "now": START}
        candidate = promotion.Candidate("b", "rec-1", START, "manual", "human", True, None)
        promotion.decide(Ledger(store.backend, "flights", deployment=chain), candidate, **fields)
    mine, theirs, further, once = (
        record(day, "monitor", deployment=chain, recorded_at=START + timedelta(days=90 + k))
        for k, (day, chain) in enumerate(
            [(1, "prod"), (1, "replay-1"), (2, "replay-1"), (0, "policy-monthly-2")]
        )
    )
    for made in (mine, theirs, further, once):
        store.add_record("flights", made.id, to_bytes(made))
    with open_shelf(store.url) as shelf:
        assert shelf.latest("flights/monitor").id == mine.id == shelf.one("flights/monitor@2024-01-02").id
        # Where nothing that serves has a partition, a replay's is better than none.
        assert shelf.one("flights/monitor@2024-01-01").id == once.id
        assert [r.id for r in shelf.across("flights/monitor")] == [mine.id]
    with open_shelf(store.url, ledger="replay-1") as shelf:
        assert shelf.latest("flights/monitor").id == further.id
        assert shelf.newest("flights/monitor", "2024-01-02").id == theirs.id
    with open_shelf(store.url, ledger="replay-2") as shelf, pytest.raises(NotFoundError, match="replay-2"):
        shelf.latest("flights/monitor")


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (["prod", "dev", "replay-1"], "dev"),
        (["prod", "replay-1", "policy-2"], "prod"),
        (["replay-1"], "replay-1"),
        (["replay-1", "policy-2"], None),
        (["prod", "stage"], None),
        ([], None),
    ],
)
def test_of_several_chains_the_one_that_serves_is_meant(names: list[str], one: str | None) -> None:
    assert meant(names) == one


def test_chains_that_serve_are_those_that_a_declaration_may_name() -> None:
    assert get_args(Deployment) == DEPLOYMENTS


def test_a_run_that_made_several_records_names_them() -> None:
    with open_shelf(story().store) as shelf:
        run = shelf.newest("churn/raw", "2024-01-05").run
        assert len(shelf.find(run)) == 50
        with pytest.raises(NotFoundError, match="made 50 records"):
            shelf.one(run)


def test_the_index_gets_what_it_lacks_and_only_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "index.sqlite"))
    monkeypatch.setenv("MLPIPE_STORE", story().store)
    store = Store.open(story().store)
    every = len(store.record_ids("churn"))
    with open_shelf() as shelf:
        assert len(shelf.index.ids()) == every
    with Index.open(str(tmp_path / "index.sqlite")) as index:
        assert completed(store, index) == 0
        some = sorted(index.ids())[:3]
        index.remove(some)
        assert completed(store, index) == 3 and len(index.ids()) == every


def test_an_index_that_cannot_be_used_is_told_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql://nobody@localhost:1/none")
    monkeypatch.setenv("MLPIPE_STORE", story().store)
    told: list[str] = []
    with open_shelf(tell=told.append) as shelf:
        assert shelf.one("churn@1").stage == "train"
    assert len(told) == 1 and "indexed anew" in told[0]


def test_there_must_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no store"), open_shelf(str(tmp_path / "none")):
        pass


def test_the_origin_of_a_model_is_its_window_down_to_the_source() -> None:
    with open_shelf(story().store) as shelf:
        origin = origin_of(shelf, shelf.one("churn@2"))
    assert str(origin.spans["raw/rows"]) == "2024-01-17 to 2024-02-05, 20 partitions"
    assert origin.spans["features"].rows == 1200
    seen = origin.columns["rows"]["promo"]
    assert seen.partitions[0] == "2024-01-23" and len(seen.partitions) == 14 and not seen.whole
    assert origin.columns["rows"]["hours"].whole and set(origin.features) == {
        "hours",
        "plays",
        "city",
        "promo",
    }
    assert [n for n in origin.code if n.endswith("story.everything")] and not origin.missing
    assert sum(map(len, origin.profiles.values())) == 20


def test_a_champion_that_was_compared_with_is_no_origin() -> None:
    with open_shelf(story().store) as shelf:
        behind = origin_of(shelf, shelf.newest("churn/evaluation", "2024-02-06"))
        watched = origin_of(shelf, shelf.newest("churn/monitor", "2024-02-19"))
    assert "2024-01-02" not in {p for span in behind.spans.values() for p in span.partitions}
    assert watched.spans["features"].partitions == ("2024-02-17", "2024-02-18", "2024-02-19")
    assert str(behind.spans["model/bundle"]) == "2024-02-06"
