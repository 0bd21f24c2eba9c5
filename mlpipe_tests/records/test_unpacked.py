"""Archives unpacked: modules bear the names that they bore, and nothing is written outside."""

import io
import zipfile
from pathlib import Path

import pytest

from mlpipe.errors import StoreError
from mlpipe.records.record import Code
from mlpipe.records.unpacked import unpack


def archive(**files: str) -> bytes:
    """Zip of files, by name (``/`` as ``__of__``, ``.py`` left out)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, text in files.items():
            made.writestr(name.replace("__of__", "/") + ".py", text)
    return buffer.getvalue()


def test_a_project_is_imported_from_above_its_package(tmp_path: Path) -> None:
    data = archive(src__of__shop__of____init__="", src__of__shop__of__pipeline="")
    made = unpack(data, Code(base="src/shop"), tmp_path)
    assert made.base == tmp_path / "src/shop" and made.roots[0] == tmp_path / "src"
    assert (tmp_path / "src/shop/pipeline.py").is_file()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (Code(fingerprints={"shop.ml.features.made": "1"}), ""),
        (Code(), "from shop.ml.features import made"),
    ],
)
def test_a_package_that_is_the_top_goes_below_its_own_name(code: Code, text: str, tmp_path: Path) -> None:
    made = unpack(archive(__init__="", features="", pipeline=text), code, tmp_path)
    assert made.base == tmp_path / "shop/ml" and (made.base / "features.py").is_file()
    assert made.roots[0] in (tmp_path, tmp_path / "shop") and tmp_path in made.roots


def test_plain_files_are_imported_from_where_they_lie(tmp_path: Path) -> None:
    made = unpack(archive(definitions="", lib__of__x=""), Code(), tmp_path)
    assert made.base == tmp_path and made.roots == (tmp_path,)


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(name, "x")
    (tmp_path / "in").mkdir()
    with pytest.raises(StoreError, match="outside of itself"):
        unpack(buffer.getvalue(), Code(archive="code-1"), tmp_path / "in")
    assert [p.name for p in tmp_path.rglob("*")] == ["in"]


def test_what_is_no_archive_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="damaged"):
        unpack(b"no zip", Code(archive="code-1"), tmp_path)
