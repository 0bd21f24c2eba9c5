import functools
import http.server
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from mlpipe.errors import SourceError
from mlpipe.scaffold.look import Looked, look, relative_to
from mlpipe.spec.sources import CsvSource
from mlpipe.stages.files import read

ROWS = pd.DataFrame({"day": ["2024-01-01", "2024-01-02", "2024-01-03"], "x": [1, 2, 3], "y": ["a", "b", "a"]})


def seen(folder: Path, data: str, **more: str) -> Looked:
    return look(data, folder, folder / "fetched", **more)


def test_a_file_of_each_kind(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "rows.csv", sep=";", index=False)
    ROWS.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "misnamed.csv").write_bytes((tmp_path / "rows.parquet").read_bytes())
    ROWS.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    kinds = {n: seen(tmp_path, n) for n in ("rows.csv", "rows.parquet", "misnamed.csv", "rows.jsonl")}
    assert [k.kind for k in kinds.values()] == ["csv", "parquet", "parquet", "jsonl"]
    assert all(k.frame["x"].tolist() == [1, 2, 3] and k.rows == 3 for k in kinds.values())
    assert kinds["rows.csv"].source["options"] == {"sep": ";"}


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for name in ("north", "south"):
        ROWS.to_csv(tmp_path / f"all/{name}.csv", index=False)
    found = seen(tmp_path, "all")
    assert found.rows == 6 and not found.daily and "2 files" in found.notes[0]


def test_days_in_files_of_their_own(tmp_path: Path) -> None:
    for day in ROWS["day"]:
        ROWS[["x", "y"]].to_csv(tmp_path / f"{day}.csv", index=False)
    found = seen(tmp_path, str(tmp_path))
    assert found.daily and found.source["path"] == str(tmp_path / "{partition}.csv")
    assert sorted(set(found.frame["_day"])) == ROWS["day"].tolist()
    (tmp_path / "2024-01-02.csv").unlink()
    assert not seen(tmp_path, str(tmp_path)).daily


class _Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    ROWS.to_csv(tmp_path / "www/rows.csv", index=False)
    handler = functools.partial(_Server, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_is_fetched_and_its_secrets_are_not_shown(tmp_path: Path, address: str) -> None:
    found = seen(tmp_path, f"{address}/rows.csv?token=geheim")
    assert found.rows == 3 and (tmp_path / "fetched/rows.csv").is_file()
    assert "geheim" not in json.dumps([found.origin, found.notes, found.source])
    with pytest.raises(SourceError, match="cannot be fetched"):
        seen(tmp_path, f"{address}/nothing.csv")
    assert [p.name for p in (tmp_path / "fetched").iterdir()] == ["rows.csv"]


def test_a_table_of_a_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        ROWS.to_sql("orders", connection, index=False)
    found = seen(tmp_path, "sqlite:///shop.db", time="day")
    assert found.rows == 3 and found.source["table"] == "orders" and found.span is not None
    assert found.span.tolist() == ["2024-01-01", "2024-01-03"]
    assert seen(tmp_path, "sqlite:///shop.db#orders").frame["y"].tolist() == ["a", "b", "a"]
    for data, said in (
        ("sqlite:///shop.db#order", "Did you mean 'orders'"),
        ("sqlite:///no.db#x", "there is no file"),
    ):
        with pytest.raises(SourceError) as error:
            seen(tmp_path, data)
        assert said in str(error.value)
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        ROWS.to_sql("more", connection, index=False)
    with pytest.raises(SourceError, match="holds 2 tables: more, orders"):
        seen(tmp_path, "sqlite:///shop.db")


def test_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"a": 1}]')
    (tmp_path / "rows.xlsx").write_bytes(b"PK\3\4")
    (tmp_path / "head.csv").write_text("a,b\n")
    (tmp_path / "twice.jsonl").write_text("{}\n")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed/a.csv").write_text("a\n1\n")
    (tmp_path / "mixed/b.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "hollow").mkdir()
    for data, said in (
        ("row.json", "Did you mean 'rows.json'"),
        ("rows.json", "one JSON list"),
        ("rows.xlsx", "no kind that mlpipe reads"),
        ("head.csv", "no rows"),
        ("mixed", "several kinds: csv, jsonl"),
        ("hollow", "holds no files"),
        ("nothing://x", "database URL cannot be used"),
    ):
        with pytest.raises(SourceError) as error:
            seen(tmp_path, data)
        assert said in str(error.value), str(error.value)


def test_near_data_is_named_from_the_project(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "rows.csv", index=False)
    found = seen(tmp_path, "rows.csv")
    base = tmp_path / "shop/defs"
    base.mkdir(parents=True)
    near = relative_to(found.source, base, tmp_path)
    assert near["path"] == "../../rows.csv"
    assert len(read(CsvSource.model_validate(near), base, None, "")) == 3
    assert relative_to(found.source, base, tmp_path / "shop") == found.source
