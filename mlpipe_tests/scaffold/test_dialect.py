import gzip
from pathlib import Path

import pandas as pd
import pytest

from mlpipe.errors import SourceError
from mlpipe.scaffold.dialect import dialect_of

PLAIN = "id,name,amount\n1,Ann,2.5\n2,Ben,3.5\n3,Cid,4\n"


def read(folder: Path, content: bytes, name: str = "rows.csv") -> tuple[dict[str, object], pd.DataFrame]:
    file = folder / name
    file.write_bytes(content)
    options = dialect_of(file, str(file)).options
    return options, pd.read_csv(file, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (PLAIN.encode(), {}),
        (PLAIN.replace("\n", "\r\n").encode(), {}),
        (b"\xef\xbb\xbf" + PLAIN.encode(), {"encoding": "utf-8-sig"}),
        (PLAIN.encode("utf-16"), {"encoding": "utf-16"}),
        (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (PLAIN.replace("Ann", "Änn").encode("latin-1"), {"encoding": "cp1252"}),
        (PLAIN.replace("Ann", "Änn").encode(), {}),
        (PLAIN.replace(",", ";").replace("2.5", "2,5").encode(), {"sep": ";"}),
        (PLAIN.replace(",", "\t").encode(), {"sep": "\t"}),
        (PLAIN.replace(",", "|").encode(), {"sep": "|"}),
        (b"id, name, amount\n1, Ann, 2\n2, Ben, 3\n3, Cid, 4\n", {"skipinitialspace": True}),
        (b"id;name;amount\n1;a,b;2,5\n2;b,c;3,5\n3;c,d;4,5\n", {"sep": ";"}),
        (b"# made by hand\n# on Monday\n" + PLAIN.encode(), {"skiprows": 2}),
        (b"Report of March\n\n" + PLAIN.encode(), {"skiprows": 2}),
        (b"#id,name,amount\n1,Ann,2\n2,Ben,3\n3,Cid,4\n", {}),
        (b'id,name,amount\n1,"Ann\nof, the hills",2\n2,Ben,3\n3,Cid,4\n', {}),
        (b"id,name,amount\n1,Ann,2,\n2,Ben,3,\n3,Cid,4,\n", {"index_col": False}),
    ],
)
def test_a_file_is_read_as_it_was_meant(tmp_path: Path, content: bytes, options: dict[str, object]) -> None:
    found, frame = read(tmp_path, content)
    assert found == options
    assert [c.lstrip("#") for c in frame.columns] == ["id", "name", "amount"] and len(frame) == 3
    assert frame.iloc[:, 0].tolist() == [1, 2, 3]


def test_packed_files_and_one_column(tmp_path: Path) -> None:
    assert read(tmp_path, gzip.compress(PLAIN.encode()), "rows.csv.gz")[0] == {}
    assert read(tmp_path, b"amount\n1\n2\n3\n")[0] == {}


def test_bytes_that_only_come_late_decide_about_the_encoding(tmp_path: Path) -> None:
    found, frame = read(tmp_path, (PLAIN + "4,Bob,1\n" * 60_000 + "5,Zoé,1\n").encode("latin-1"))
    assert found == {"encoding": "cp1252"} and frame["name"].iloc[-1] == "Zoé"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\1\2\3\4" * 40, "is no text"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(tmp_path, content)


def test_a_truncated_archive_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cut short"):
        read(tmp_path, gzip.compress(PLAIN.encode() * 10_000)[:60], "rows.csv.gz")
