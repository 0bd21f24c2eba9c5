"""The transcripts of docs/errors.md: commands that are refused, run for real.

``python -m mlpipe_tests.examples.errors`` writes the page.
"""

import os
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlpipe.cli import EXIT_CODES
from mlpipe_tests.corpus.drive import told, working_in
from mlpipe_tests.house import ROOT

PAGE = ROOT / "docs/errors.md"
HEAD = """\
# Errors

What went wrong is said in a sentence, with where it is (file, line, column, partition, key), and what to do about it; of many findings
the first ten are spelled out. No traceback is shown unless `--debug` is given. Nothing is half written: the
same command goes on once the cause is mended.

| exit code | when |
|---|---|
| 0 | done |
{codes}

These ten were run by a test, which compares this page with what is printed; `python -m mlpipe_tests.examples.errors` writes it anew.
"""
DECLARED = """\
import mlpipe as ml
from sklearn.linear_model import LogisticRegression

defs = ml.Pipeline(
    name="shop",
    partitions=ml.daily(start="2024-01-01"),
    source=ml.CSV("days/{partition}.csv", event_time="at", keys=["order"]),
    label=ml.Label("late"),
    features=["size", "weight"],
    model=LogisticRegression(),
    window="6d",
    retries={"times": 0},
).definitions()
"""


@dataclass(frozen=True)
class Mistake:
    """A command, what led to it, and how the folder is made."""

    title: str
    command: str
    prepare: Callable[[Path], None]


def orders(folder: Path) -> None:
    """A file of orders, and one that was cut short."""
    rows = range(40)
    frame = pd.DataFrame(
        {"order": rows, "size": [r % 7 for r in rows], "late": [r % 2 for r in rows], "paid": 1}
    )
    frame.to_csv(folder / "orders.csv", index=False)
    frame.to_parquet(folder / "orders.parquet")
    whole = (folder / "orders.parquet").read_bytes()
    (folder / "orders.parquet").write_bytes(whole[: len(whole) // 2])


def declared(folder: Path, old: str = "", new: str = "") -> None:
    """A pipeline in a file of its own, and a day whose column was renamed."""
    (folder / "definitions.py").write_text(DECLARED.replace(old, new))
    (folder / "days").mkdir()
    day = "order,at,size,wieght,late\n1,2024-01-01T10:00,3,1,0\n2,2024-01-01T11:00,4,2,1\n"
    (folder / "days/2024-01-01.csv").write_text(day)


MISTAKES = (
    Mistake("A file that is not there", "mlpipe init shop --data order.csv --label late", orders),
    Mistake("A column that is not there", "mlpipe init shop --data orders.csv --label lat", orders),
    Mistake("A label that is always the same", "mlpipe init shop --data orders.csv --label paid", orders),
    Mistake("A file that was cut short", "mlpipe init shop --data orders.parquet --label late", orders),
    Mistake(
        "A name that no pipeline can have", "mlpipe init '../Shop 1' --data orders.csv --label late", orders
    ),
    Mistake(
        "Mistakes in a declaration, all at once",
        "mlpipe check",
        lambda folder: declared(folder, 'window="6d"', 'windw="6d", gates=[ml.gate.at_least("f2", 0.6)]'),
    ),
    Mistake("A pipeline that is not there", "mlpipe run shp --from 2024-01-01", declared),
    Mistake("A partition that is not there", "mlpipe run shop --from 2024-1-1", declared),
    Mistake("A day without its file", "mlpipe run shop --from 2024-01-02", declared),
    Mistake("A column that was renamed", "mlpipe run shop --from 2024-01-01", declared),
)


def transcript(mistake: Mistake, folder: Path) -> str:
    """What the command prints, and its exit code."""
    mistake.prepare(folder)
    with working_in(folder):
        if (folder / "definitions.py").exists():
            (folder / "home").mkdir()
            (folder / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
            os.environ["DAGSTER_HOME"] = str(folder / "home")
        result = told(*shlex.split(mistake.command)[1:])
    lines = [
        line for line in result.err.splitlines() if line.startswith(("mlpipe:", "  - ")) or line[:1].isupper()
    ]
    text = "\n".join(lines).replace(f"{folder.resolve()}/", "").replace(str(folder.resolve()), ".")
    return f"## {mistake.title}\n\n```console\n$ {mistake.command}\n{text}\n$ echo $?\n{result.code}\n```\n"


def page() -> Iterator[str]:
    """The parts of the page."""
    codes = sorted({(2, "the command line is wrong"), *((code, text) for _, code, text in EXIT_CODES)})
    yield HEAD.format(codes="\n".join(f"| {code} | {text} |" for code, text in codes))
    for mistake in MISTAKES:
        with tempfile.TemporaryDirectory() as folder:
            yield transcript(mistake, Path(folder))


if __name__ == "__main__":
    PAGE.write_text("\n".join(page()))
