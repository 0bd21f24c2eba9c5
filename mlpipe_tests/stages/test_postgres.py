"""A SQL source on a real PostgreSQL server, started for the test on loopback."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

import mlpipe as ml
from mlpipe.errors import TransientError
from mlpipe.ledger.chain import Ledger
from mlpipe.stages import ingest
from mlpipe.stages.context import Context, MemoryHeads, Run
from mlpipe.stages.extent import extent
from mlpipe.stages.runner import run_stage
from mlpipe.stores.store import Store
from mlpipe_tests.postgres import serving


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a cluster of our own."""
    with serving("source") as url:
        yield url


def orders(server: str) -> pd.DataFrame:
    """Three days of orders, with an aware time column and a whole number that may be null."""
    hours = pd.date_range("2024-03-01", periods=72, freq="h", tz="UTC")
    amounts = pd.array([None if i % 7 == 0 else i for i in range(72)], dtype="Int64")
    rows = pd.DataFrame(
        {"id": range(72), "at": hours, "amount": amounts, "paid": [i % 2 == 0 for i in range(72)]}
    )
    rows.to_sql("orders", sa.create_engine(server), index=False, if_exists="replace")
    return rows


def context(tmp_path: Path) -> Context:
    store = Store.open(tmp_path / "store")
    now = datetime(2024, 4, 1, tzinfo=UTC)
    return Context(store, Ledger(store.backend, "shop"), MemoryHeads(), Run("r", now), now=lambda: now)


def pipeline(**source: object) -> ml.Pipeline:
    from sklearn.linear_model import LogisticRegression

    return ml.Pipeline(
        name="shop",
        partitions=ml.daily(start="2024-03-01", timezone="Europe/Berlin"),
        source=ml.SQL("${SHOP_URL}", event_time="at", keys=["id"], **source),
        label="paid",
        features=["amount"],
        model=LogisticRegression(),
    )


@pytest.mark.parametrize(
    "source",
    [{"table": "orders"}, {"query": "select * from orders where at >= :start and at < :end"}],
    ids=["table", "query"],
)
def test_rows_of_a_partition_come_from_the_server(server, tmp_path, monkeypatch, source):
    rows = orders(server)
    monkeypatch.setenv("SHOP_URL", server)
    ctx, spec = context(tmp_path), pipeline(**source).spec
    # 2 March in Berlin is 23:00 UTC of the first to 23:00 UTC of the second: rows 23 to 46.
    record, _ = run_stage(ingest.STAGE, spec, ["2024-03-02", "2024-03-03"], ctx)
    frame = ctx.store.get_table(record.output("rows").id)
    assert frame["id"].tolist() == list(range(23, 47))
    assert frame["amount"].isna().sum() == rows["amount"][23:47].isna().sum()
    assert frame["at"].iloc[0] == rows["at"][23]
    alone = next(iter(run_stage(ingest.STAGE, spec, ["2024-03-02"], context(tmp_path / "alone"))))
    assert alone.output("rows").id == record.output("rows").id
    assert "127.0.0.1" not in str(record.model_dump())


@pytest.mark.parametrize(
    ("kind", "spelled", "formats"),
    [
        ("bigint", "extract(epoch from at)::bigint * 1000", ["epoch_ms"]),
        ("numeric", "extract(epoch from at)", ["epoch_s"]),
        ("text", "to_char(at at time zone 'Europe/Berlin', 'DD.MM.YYYY HH24:MI')", ["iso", "%d.%m.%Y %H:%M"]),
        ("timestamptz", "at", ["%d.%m.%Y"]),
    ],
)
def test_event_times_of_any_form_cut_a_table(server, tmp_path, monkeypatch, kind, spelled, formats):
    orders(server)
    with sa.create_engine(server).begin() as connection:
        connection.execute(sa.text("drop table if exists spelled"))
        connection.execute(
            sa.text(f"create table spelled as select id, amount, paid, ({spelled})::{kind} as at from orders")
        )
    monkeypatch.setenv("SHOP_URL", server)
    spec = pipeline(table="spelled", clean={"at": {"to": "time", "formats": formats}}).spec
    assert extent(spec, datetime(2024, 4, 1, tzinfo=UTC)) == ("2024-03-01", "2024-03-04")
    ctx = context(tmp_path)
    (record,) = run_stage(ingest.STAGE, spec, ["2024-03-02"], ctx)
    assert ctx.store.get_table(record.output("rows").id)["id"].tolist() == list(range(23, 47))


def test_a_server_that_is_down_may_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_URL", "postgresql+psycopg2://owner:secret@127.0.0.1:9/postgres")
    with pytest.raises(TransientError) as caught:
        list(run_stage(ingest.STAGE, pipeline(table="orders").spec, ["2024-03-02"], context(tmp_path)))
    assert "did not answer" in str(caught.value) and "secret" not in str(caught.value)
