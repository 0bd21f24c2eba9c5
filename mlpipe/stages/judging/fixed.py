"""Rows that a project keeps in a file: read whole, with errors that name the file."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mlpipe.errors import DataError, did_you_mean

READERS: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def table_of(base_dir: Path, file: str, where: str) -> pd.DataFrame:
    """Rows of a CSV or Parquet file, at least one.

    Parameters
    ----------
    base_dir
        Folder that a relative path starts from.
    file
        The path as it was declared.
    where
        Which setting names it, for errors.

    Raises
    ------
    DataError
        There is no such file, it is of another kind, cannot be read, or is empty.
    """
    path, place = base_dir / file, f"{where}, {file}"
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"a file of rows ends in {' or '.join(READERS)}",
            where=place,
            fix="Store the rows as one of these.",
        )
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*") if p.suffix.lower() in READERS)
        raise DataError(
            f"there is no such file in {path.parent}", where=place, fix=did_you_mean(path.name, near)
        )
    try:
        rows = READERS[path.suffix.lower()](path)
    except (ValueError, OSError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"the file cannot be read: {text}", where=place, fix="Write it again as plain rows."
        ) from error
    if not len(rows):
        raise DataError("the file holds no rows", where=place, fix="Put at least one into it.")
    return rows.set_axis([str(c) for c in rows.columns], axis=1)
