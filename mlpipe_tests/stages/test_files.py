import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.errors import SourceError
from mlpipe.spec.sources import CsvSource, JsonLinesSource, ParquetSource
from mlpipe.stages.files import read


def jsonl(folder: Path, text: str | bytes, name: str = "rows.jsonl") -> pd.DataFrame:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read(JsonLinesSource(path=name), folder, None, "source rows")


def test_records_in_records_become_columns_and_lists_text(tmp_path: Path) -> None:
    frame = jsonl(
        tmp_path,
        '\ufeff{"a": 1, "b": {"c": "x", "d": {"e": true}}}\r\n\r\n{"a": 2.5, "tags": ["p", {"q": 1}]}\n',
    )
    assert list(frame.columns) == ["a", "b.c", "b.d.e", "tags"]
    assert frame["a"].tolist() == [1, 2.5] and frame["b.c"].tolist()[0] == "x"
    assert json.loads(frame["tags"][1]) == ["p", {"q": 1}] and frame["tags"].isna()[0]


def test_braces_in_names_are_written_twice(tmp_path: Path) -> None:
    (tmp_path / "a{x}").mkdir()
    (tmp_path / "a{x}/2024-01-01{b}.jsonl").write_text('{"a": 1}\n')
    source = JsonLinesSource(path="a{{x}}/{partition}{{b}}.jsonl")
    assert source.templated and len(read(source, tmp_path, "2024-01-01", "")) == 1
    assert not JsonLinesSource(path="{{partition}}.jsonl").templated
    with pytest.raises(ValueError, match="placeholder other than"):
        JsonLinesSource(path="{date}.jsonl")


def test_whole_numbers_beyond_64_bits_are_text(tmp_path: Path) -> None:
    """All digits are kept: two keys that differ in the last one stay two."""
    one, other = 10**24 + 1, 10**24 + 2
    (tmp_path / "rows.csv").write_text(f"self,small\n{one},1\n,2\n{other},3\n7,4\n")
    frame = read(CsvSource(path="rows.csv"), tmp_path, None, "source rows")
    assert frame["self"].dropna().tolist() == [str(one), str(other), "7"] and frame["self"].isna()[1]
    assert frame["small"].tolist() == [1, 2, 3, 4]
    lines = jsonl(tmp_path, f'{{"a": {one}}}\n{{"a": {2**63 - 1}}}\n')
    assert lines["a"].tolist() == [str(one), str(2**63 - 1)]
    assert jsonl(tmp_path, f'{{"a": {2**63 - 1}}}\n', "small.jsonl")["a"].tolist() == [2**63 - 1]


def test_cells_of_several_types_in_one_column_are_text(tmp_path: Path) -> None:
    cells = [True, "two", 1, 2.5, None, "2024-01-01"]
    frame = jsonl(tmp_path, "".join(json.dumps({"self": c, "n": i / 2}) + "\n" for i, c in enumerate(cells)))
    assert frame["self"].dropna().tolist() == ["true", "two", "1", "2.5", "2024-01-01"]
    assert frame["self"].isna().tolist() == [False] * 4 + [True, False]
    assert frame["n"].tolist() == [0, 0.5, 1, 1.5, 2, 2.5], "whole numbers among others are no second type"
    truth = jsonl(tmp_path, '{"a": true}\n{"a": null}\n{"a": false}\n', "truth.jsonl")
    assert truth["a"].dropna().tolist() == [True, False]


def test_compressed_lines_are_read(tmp_path: Path) -> None:
    assert len(jsonl(tmp_path, gzip.compress(b'{"a": 1}\n{"a": 2}\n'), "rows.jsonl.gz")) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n  \n", "is empty"),
        ('{"a": 1}\n{"a": \n', "rows.jsonl:2: this line is no JSON"),
        ("[1, 2]\n", "holds a list, not a record"),
        ("[" * 200_000, "rows.jsonl:1: this line is no JSON"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError, match="JSON") as error:
        jsonl(tmp_path, text)
    assert said in str(error.value) and "source rows" in str(error.value)


def test_a_truncated_archive_is_said(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"a": 1}\n' * 1000)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        jsonl(tmp_path, packed[:-12], "rows.jsonl.gz")


VALUES = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
RECORDS = st.lists(
    st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=4), min_size=1, max_size=6
)


def kind(value: object) -> str:
    """Types that a column tells apart: whole and other numbers are one."""
    return "number" if type(value) in (int, float) else type(value).__name__


@given(records=RECORDS)
def test_every_value_comes_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    frame = jsonl(folder, "\n".join(map(json.dumps, records)))
    for position, record in enumerate(records):
        for name, value in record.items():
            cell = frame[name].iloc[position]
            kinds = {kind(r[name]) for r in records if r.get(name) is not None}
            told = value if len(kinds) < 2 or isinstance(value, str) else json.dumps(value)
            assert pd.isna(cell) if value is None else cell == told


def test_nested_columns_of_parquet_are_json_text(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3], "tags": [["x", "y"], None, []], "who": [{"n": "é"}, {"n": "b"}, None]})
    pq.write_table(table, tmp_path / "rows.parquet")
    frame = read(ParquetSource(path="rows.parquet"), tmp_path, None, "source rows")
    assert frame["tags"].tolist() == ['["x", "y"]', None, "[]"]
    assert frame["who"].tolist() == ['{"n": "é"}', '{"n": "b"}', None]
