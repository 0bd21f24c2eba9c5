"""`mlpipe init` on the command line: what is written runs as it stands."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlpipe import cli as commands
from mlpipe_tests.corpus.drive import working_in

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs a command in a folder of its own, without DAGSTER_HOME: exit code, output, complaints."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            commands.main(arguments)
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        return int(left.value.code or 0), told.out, told.err

    # The modules of a project that was loaded here would stand for those of the next one of its name.
    with working_in(tmp_path):
        yield call


def orders(folder: Path, days: int = 9) -> Path:
    draw = np.random.default_rng(0)
    rows = 30 * days
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(
        np.sort(draw.integers(0, days * 24 * 60, rows)), unit="min"
    )
    size = draw.normal(1000, 400, rows)
    late = size + draw.normal(0, 200, rows) > 1100
    frame = pd.DataFrame(
        {
            "order_id": np.arange(rows) + 5000,
            "ordered_at": at.strftime("%d/%m/%Y %H:%M"),
            "size": [f"{s:,.1f}" for s in size],
            "region": draw.choice(["North", "south", "South "], rows),
            "late": np.where(late, "yes", "no"),
            "refunded_on": np.where(late, "2024-03-01", None),
        }
    )
    frame.loc[::17, "size"] = "?"
    frame.to_csv(folder / "orders.csv", index=False)
    return folder / "orders.csv"


def test_from_a_messy_file_to_a_replay(run: Run, tmp_path: Path) -> None:
    orders(tmp_path)
    code, out, err = run("init", "shop", "--data", "orders.csv", "--label", "late", "--key", "order_id")
    assert code == 0, err
    assert "refunded_on: it looks like the future" in out and "mlpipe run shop" in out
    code, out, err = run("check", "shop")
    assert code == 0 and "shop: good" in out, err
    code, out, err = run("run", "shop")
    assert code == 0, err
    assert "270 frozen, 0 quarantined" in out and "shop@1" in out and "MB of memory" in out
    code, out, err = run("replay", "shop", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert len(told["days"]) == 9 and not any(d["note"] for d in told["days"])


def test_conclusions_for_machines_and_the_file_agree(run: Run, tmp_path: Path) -> None:
    orders(tmp_path)
    code, out, _ = run("init", "shop", "--data", "orders.csv", "--label", "late", "--json")
    told = json.loads(out)
    assert (
        code == 0 and told["task"] == "binary" and told["positive"] == "yes" and told["time"] == "ordered_at"
    )
    assert told["features"] == ["size", "region"] and set(told["left_out"]) >= {
        "order_id",
        "refunded_on",
        "late",
    }
    file = tmp_path / "shop/shop_project/defs/shop/defs.yaml"
    held = yaml.safe_load(file.read_text())["attributes"]
    assert held["features"]["columns"] == told["features"] and held["source"]["clean"] == told["clean"]
    assert held["source"]["clean"]["region"] == {"to": "text", "strip": True, "case": "lower"}


def test_nothing_that_is_there_is_overwritten(run: Run, tmp_path: Path) -> None:
    orders(tmp_path)
    arguments = ("init", "shop", "--data", "orders.csv", "--label", "late")
    assert run(*arguments)[0] == 0
    before = {p: p.read_bytes() for p in (tmp_path / "shop").rglob("*") if p.is_file()}
    code, _, err = run(*arguments)
    assert code == 1 and "there is a project" in err
    assert {p: p.read_bytes() for p in (tmp_path / "shop").rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("shop", "--data", "orders.csv", "--label", "lat"), 4, "Did you mean 'late'?"),
        (("shop", "--data", "order.csv", "--label", "late"), 5, "Did you mean 'orders.csv'?"),
        (("Shop 1", "--data", "orders.csv", "--label", "late"), 4, "Such as 'shop_1'"),
        (("../x", "--data", "orders.csv", "--label", "late"), 4, "no name of a pipeline"),
        (
            ("shop", "--data", "orders.csv", "--label", "late", "--time", "size"),
            1,
            "column size: this column holds no times",
        ),
        (("shop", "--data", "orders.csv", "--label", "refunded_on"), 1, "which no model predicts"),
    ],
)
def test_refusals_leave_nothing_behind(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    orders(tmp_path)
    left, _, err = run("init", *arguments)
    assert left == code and said in err, err
    assert [p.name for p in tmp_path.iterdir()] == ["orders.csv"]


def test_a_password_goes_into_the_env_file_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlpipe.scaffold import look as looking
    from mlpipe.scaffold import tables

    frame = pd.read_csv(orders(tmp_path))
    url = "postgresql+psycopg2://me:geheim@localhost/shop"
    found = looking.Looked(
        frame,
        len(frame),
        {"type": "sql", "url": "${DATABASE_URL}", "table": "orders"},
        "sql",
        "postgresql+psycopg2://me:***@localhost/shop#orders",
        secrets=(("DATABASE_URL", url),),
    )
    monkeypatch.setattr(tables, "look_at_table", lambda *args: found)
    code, out, err = run("init", "shop", "--data", f"{url}#orders", "--label", "late")
    assert code == 0, err
    files = {p.name: p.read_text() for p in (tmp_path / "shop").rglob("*") if p.is_file()}
    assert [n for n, text in files.items() if "geheim" in text] == [".env"] and "geheim" not in out + err
    assert (tmp_path / "shop/.env").stat().st_mode & 0o077 == 0 and ".env" in files[".gitignore"]


@pytest.mark.long
@pytest.mark.parametrize("time", ["placed", "ts"])
def test_a_table_whose_times_the_database_cannot_compare(run: Run, tmp_path: Path, time: str) -> None:
    draw = np.random.default_rng(0)
    at = pd.Timestamp("2024-01-03") + pd.to_timedelta(np.sort(draw.integers(0, 14_400, 400)), unit="min")
    x = draw.normal(size=400)
    seconds = (at - pd.Timestamp("1970-01-01")) // pd.Timedelta(seconds=1)
    late = (x + draw.normal(size=400) > 0).astype(int)
    frame = pd.DataFrame({"placed": at.strftime("%d/%m/%Y %H:%M"), "ts": seconds, "x": x, "late": late})
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        frame.to_sql("orders", connection, index=False)
    code, out, err = run("init", "shop", "--data", "sqlite:///shop.db", "--label", "late", "--time", time)
    assert code == 0 and "one partition a day, from 2024-01-03" in out, err
    code, out, err = run("run", "shop")
    assert code == 0 and "400 frozen, 0 quarantined" in out and "shop@1" in out, err
