"""The difference of two records in full: by hand on tables, and on the story."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe.errors import StoreError
from mlpipe.index.shelf import open_shelf
from mlpipe.records.archives import differing, files
from mlpipe.records.codec import from_bytes, sealed, to_bytes
from mlpipe.stores.store import Store
from mlpipe.views.diffed import as_text, to_dict
from mlpipe.views.diffs import diff_of, table_diff
from mlpipe_tests.views.story import story

N = 30
TABLE = pd.DataFrame(
    {
        "id": np.arange(N),
        "price": np.arange(N) * 1.5,
        "city": ["Ulm", "Bonn", "Kiel"] * 10,
        "_time": pd.Timestamp("2024-01-01"),
    }
)


def zipped(**texts: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in texts.items():
            archive.writestr(f"{name}.py", text)
    return out.getvalue()


def test_a_table_is_told_by_rows_columns_and_names() -> None:
    after = (
        TABLE.iloc[1:]
        .rename(columns={"city": "town"})
        .assign(price=lambda t: t["price"].mask(t["id"] == 7, 99.0))
    )
    found = table_diff("rows", TABLE, after, ["id"])
    assert found.rows is not None
    assert (found.rows.added, found.rows.removed, found.rows.changed, found.rows.same) == (0, 1, 1, 28)
    assert list(found.added) == ["town"] and list(found.removed) == ["city"] and not found.retyped
    assert [(r.before, r.after) for r in found.renames] == [("city", "town")]
    assert set(found.psi) == {"price"}


def test_a_column_of_another_type_has_no_distribution_and_is_told() -> None:
    found = table_diff("rows", TABLE, TABLE.assign(price=[f"{v} EUR" for v in TABLE["price"]]), ["id"])
    assert set(found.retyped) == {"price"} and set(found.psi) == {"city"}


def test_archives_differ_by_file() -> None:
    old, new = files(zipped(a="x = 1\n", b="y = 1\n")), files(zipped(a="x = 2\n", c="z = 1\n"))
    found = {d.name: (d.change, d.plus, d.minus) for d in differing(old, new)}
    assert found == {"a.py": ("changed", 1, 1), "b.py": ("removed", 0, 1), "c.py": ("added", 1, 0)}
    text = next(d.text for d in differing(old, new) if d.name == "a.py")
    assert text.splitlines() == ["--- a/a.py", "+++ b/a.py", "@@ -1 +1 @@", "-x = 1", "+x = 2"]


def test_a_damaged_archive_is_an_error() -> None:
    with pytest.raises(StoreError, match="archive of the code is damaged"):
        files(b"no zip", "code-1")


def test_days_are_met_by_the_declared_key() -> None:
    with open_shelf(story().store) as shelf:
        found = diff_of(shelf, ("churn/raw@2024-01-22", "churn/raw@2024-01-23"))
    assert found.tables[0].added == {"promo": "float64"}
    assert found.tables[0].rows is not None and found.tables[0].rows.keys == ("user",)
    assert "+ column promo (float64)" in as_text(found)


def test_models_are_told_by_their_windows() -> None:
    with open_shelf(story().store) as shelf:
        found = diff_of(shelf, ("churn@1", "churn@2"))
    assert [t.name for t in found.tables] == ["features of the window"]
    assert found.tables[0].counts == (1200, 1200) and list(found.tables[0].added) == ["promo"]
    assert found.notes == ("The code cannot be compared: a record has no archive of it.",)
    assert to_dict(found)["tables"][0]["psi"]["hours"] < 0.1


def test_the_code_of_two_records_is_a_unified_diff(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    source = Store.open(story().store)
    like = next(from_bytes(d) for _, d in source.records("churn") if from_bytes(d).stage == "register")
    ids = []
    for text in ("rate = 1\n", "rate = 2\n"):
        archive = store.put_bytes(zipped(model=text), "code", ".zip").id
        record = sealed(like.model_copy(update={"code": like.code.model_copy(update={"archive": archive})}))
        store.add_record("churn", record.id, to_bytes(record))
        ids.append(record.id)
    with open_shelf(str(tmp_path)) as shelf:
        found = diff_of(shelf, ids, data=False)
        same = diff_of(shelf, [ids[0], ids[0]], data=False)
    assert "-rate = 1\n+rate = 2" in as_text(found) and "model.py (changed, +1 −1)" in as_text(found)
    assert "Code: the same archive" in as_text(same) and not same.code
