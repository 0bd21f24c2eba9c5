"""JSON lines, Parquet and tables of a database: nested, typed, cut short, with keys that come and go."""

import datetime
import json
import sqlite3
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlpipe_tests.corpus.case import Expect, case, orders, parquet, text, timeless

SIMPLE = ("size", "load", "region")


def _lines(frame: pd.DataFrame) -> list[dict[str, object]]:
    records = json.loads(frame.to_json(orient="records", date_format="iso"))
    assert isinstance(records, list)
    return records


@case(Expect(format="jsonl", time="at", every=("day",), rows=420, features=SIMPLE))
def json_lines(folder: Path) -> str:
    content = "".join(json.dumps(r) + "\n" for r in _lines(orders(days=12)))
    return text(folder, content, "orders.jsonl")


@case(Expect(format="jsonl", rows=300, features=("size", "load", "region")))
def records_within_records_and_missing_keys(folder: Path) -> str:
    """A record and a list inside each; keys that only some have; nothing said as null."""
    out = []
    for number, row in enumerate(_lines(timeless())):
        row["client"] = {"age": 20 + number % 50, "address": {"town": "ab"[number % 2]}}
        row["tags"] = ["new"] * (number % 3)
        if number % 4 == 0:
            del row["region"]
        if number % 5 == 0:
            row["load"] = None
        out.append(json.dumps(row, ensure_ascii=False))
    return text(folder, "\n".join(out), "orders.jsonl")


@case(Expect(format="jsonl", rows=300, features=("size", "load"), lost=0.02))
def types_that_change_from_line_to_line(folder: Path) -> str:
    rows = _lines(timeless())
    for number in range(0, len(rows), 7):
        rows[number]["size"] = str(rows[number]["size"])
    return text(folder, "\n".join(map(json.dumps, rows)) + "\n", "orders.ndjson")


@case(Expect(refused="line 101|:101", code=5))
def a_broken_json_line(folder: Path) -> str:
    lines = [json.dumps(r) for r in _lines(timeless())]
    lines[100] = lines[100][:-9]
    return text(folder, "\n".join(lines) + "\n", "orders.jsonl")


@case(Expect(refused="one JSON list", code=5))
def one_json_list(folder: Path) -> str:
    return text(folder, json.dumps(_lines(timeless())), "orders.json")


@case(
    Expect(
        format="parquet",
        time="at",
        every=("day",),
        features=("size", "load", "region", "price", "age", "kind", "flag", "tiny"),
        left_out={"parts": "list", "client": "list", "paid_on": "time|future"},
    )
)
def typed_parquet(folder: Path) -> str:
    """Decimals, dates, categories, lists, structs, whole numbers and truth with nulls, a float of 32 bits."""
    frame = orders(days=12)
    draw = np.random.default_rng(1)
    n = len(frame)
    gaps = draw.random(n) < 0.1
    frame["kind"] = pd.Categorical(draw.choice(["a", "b", "c"], n))
    frame["tiny"] = draw.normal(size=n).astype("float32")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    price = [
        None if g else Decimal(int(v)) / 100 for g, v in zip(gaps, draw.integers(100, 99999, n), strict=True)
    ]
    day = datetime.date(2023, 1, 1)
    more = {
        "price": pa.array(price, pa.decimal128(10, 2)),
        "paid_on": pa.array(
            [day + datetime.timedelta(int(v)) for v in draw.integers(0, 300, n)], pa.date32()
        ),
        "age": pa.array(
            [None if g else int(v) for g, v in zip(gaps, draw.integers(18, 90, n), strict=True)], pa.int64()
        ),
        "flag": pa.array([None if g else bool(v) for g, v in zip(gaps, draw.integers(0, 2, n), strict=True)]),
        "parts": pa.array([[int(v), 2] for v in draw.integers(0, 9, n)]),
        "client": pa.array([{"age": int(v)} for v in draw.integers(18, 90, n)]),
    }
    for name, column in more.items():
        table = table.append_column(name, column)
    pq.write_table(table, folder / "orders.parquet")
    return "orders.parquet"


@case(Expect(format="parquet", rows=300, features=SIMPLE))
def parquet_with_an_index(folder: Path) -> str:
    frame = timeless()
    frame.index = pd.Index([f"row {i}" for i in range(len(frame))], name="row_name")
    frame.to_parquet(folder / "orders.parquet")
    return "orders.parquet"


@case(Expect(format="parquet", rows=420, time="at", every=("day",), features=SIMPLE))
def a_folder_of_parquet_files(folder: Path) -> str:
    frame = orders(days=12)
    (folder / "parts").mkdir()
    for number in range(3):
        parquet(frame[number::3], folder / "parts", f"part-{number:04d}.parquet")
    return "parts"


@case(Expect(format="parquet", rows=300, features=SIMPLE))
def parquet_without_its_ending(folder: Path) -> str:
    return parquet(timeless(), folder, "orders.dat")


@case(Expect(refused="cannot be read|cut short|no Parquet|not a parquet|damaged", code=5))
def a_truncated_parquet(folder: Path) -> str:
    parquet(timeless(), folder)
    raw = (folder / "orders.parquet").read_bytes()
    return text(folder, raw[: len(raw) * 2 // 3], "orders.parquet")


@case(Expect(refused="no rows", code=5))
def a_parquet_without_rows(folder: Path) -> str:
    return parquet(timeless()[:0], folder)


@case(Expect(refused="cannot be read|no Parquet|not a parquet|of no kind|is no text", code=5))
def a_text_named_parquet(folder: Path) -> str:
    return text(folder, "size,late\n1,2\n", "orders.parquet")


def _sqlite(frame: pd.DataFrame, folder: Path, table: str = "orders") -> None:
    with sqlite3.connect(folder / "shop.db") as connection:
        frame.to_sql(table, connection, index=False)
    connection.close()


@case(Expect(format="sql", rows=420, time="at", every=("day",), features=SIMPLE))
def a_table_of_sqlite(folder: Path) -> str:
    _sqlite(orders(days=12), folder)
    return "sqlite:///shop.db#orders"


@case(Expect(format="sql", rows=300, features=SIMPLE))
def an_odd_table_of_sqlite(folder: Path) -> str:
    """A table named by a reserved word with a blank; column names that need quotes."""
    frame = timeless().assign(**{"group by": np.random.default_rng(1).normal(size=300).round(3)})
    _sqlite(frame, folder, "order select")
    return "sqlite:///shop.db#order select"


@case(Expect(format="sql", rows=420, features=SIMPLE))
def times_as_text_in_sqlite(folder: Path) -> str:
    """Day-first text: the database cannot compare it, so there may be one partition."""
    frame = orders()
    frame["at"] = frame["at"].dt.strftime("%d.%m.%Y %H:%M")
    _sqlite(frame, folder)
    return "sqlite:///shop.db#orders"


@case(Expect(refused="there is no table 'order'.*Did you mean 'orders'", code=5))
def a_missing_table(folder: Path) -> str:
    _sqlite(timeless(), folder)
    return "sqlite:///shop.db#order"


@case(Expect(refused="2 tables", code=5))
def a_database_with_two_tables(folder: Path) -> str:
    _sqlite(timeless(), folder)
    _sqlite(timeless(), folder, "clients")
    return "sqlite:///shop.db"
