"""A small project on files, to be spoilt: one CSV a day, a logistic regression, a store and a ledger of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

from mlpipe.ledger.chain import Ledger
from mlpipe.records.codec import from_bytes
from mlpipe.records.record import Record
from mlpipe.stores import local
from mlpipe.stores.local import LocalBackend
from mlpipe.stores.store import Store
from mlpipe_tests.corpus.drive import Told, told, ugly
from mlpipe_tests.house import ROOT

START, ROWS = "2024-01-01", 12
MOST_LINES, LONGEST = 14, 1000
"""A refusal is a paragraph that fits a screen."""
BEFORE = ["register", "promote"]
"""Entries of the ledger of a project in which one model was trained and promoted."""
HOME_SETTINGS = "telemetry: {enabled: false}\nnux: {enabled: false}\n"
PARTS = {
    "name": '"shop"',
    "partitions": 'ml.daily(start="2024-01-01")',
    "source": 'ml.CSV("data/{partition}.csv", event_time="at", keys=["order"])',
    "label": 'ml.Label("late")',
    "features": '["size", "region"]',
    "model": "LogisticRegression()",
    "window": '"6d"',
    "split": 'ml.Split(valid="1d", test="2d")',
    "min_rows": "10",
    "metrics": '["roc_auc", "f1"]',
    "gates": '[ml.gate.at_least("roc_auc", 0.1)]',
    "monitor": '{"window": 3, "grid_window": 3}',
    "retries": '{"times": 0}',
    "blocks": '"order"',
    "bootstrap": "100",
}
"""Settings of the pipeline, as they are written in Python."""
DEFINITIONS = """\
from sklearn.linear_model import LogisticRegression

import mlpipe as ml

{code}
pipeline = ml.Pipeline(
{parts}
)
defs = pipeline.definitions()
"""


def days(first: str = START, count: int = 8) -> list[str]:
    """Keys of consecutive days."""
    return [f"{d:%Y-%m-%d}" for d in pd.date_range(first, periods=count)]


def orders(day: str, rows: int = ROWS) -> pd.DataFrame:
    """Orders of one day, in order of time; a large order is likely late. The same at each call."""
    draw = np.random.default_rng(pd.Timestamp(day).toordinal())
    size = draw.normal(50, 15, rows).round(3)
    late = size + draw.normal(0, 8, rows) > 50
    late[:2] = [True, False]
    return pd.DataFrame(
        {
            "order": pd.Timestamp(day).toordinal() * 100 + np.arange(rows),
            "at": pd.Timestamp(day) + pd.to_timedelta(np.arange(rows) * 100, unit="min"),
            "size": size,
            "region": draw.choice(["north", "south", "west"], rows),
            "late": late.astype(int),
        }
    )


@contextmanager
def refusing(number: int, after: int = 0) -> Iterator[None]:
    """Every file of a store but the first few is refused where it is written: the lowest point at which a disk can say so."""
    written, write = [0], local._write_durably

    def refuse(path: Path, data: bytes) -> None:
        written[0] += 1
        if written[0] > after:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(number, os.strerror(number), str(path))
        write(path, data)

    with mock.patch.object(local, "_write_durably", refuse):
        yield


@dataclass
class Project:
    """A project in a folder of its own, and the command line on it."""

    folder: Path
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def store(self) -> Path:
        return self.home / "mlpipe"

    def make(self, keys: list[str] | None = None) -> "Project":
        """Write data, definitions and an empty Dagster home."""
        self.home.mkdir(parents=True)
        (self.home / "dagster.yaml").write_text(HOME_SETTINGS)
        (self.folder / "data").mkdir()
        for key in days() if keys is None else keys:
            self.data(key, orders(key))
        self.declare()
        return self

    def data(self, key: str, rows: pd.DataFrame) -> Path:
        """Write a day's file."""
        path = self.folder / f"data/{key}.csv"
        rows.to_csv(path, index=False)
        return path

    def declare(self, code: str = "", **parts: str | None) -> Path:
        """Write the definitions, some settings replaced; None leaves one out."""
        self.parts = {**PARTS, **self.parts, **{k: v for k, v in parts.items() if v is not None}}
        for name in [k for k, v in parts.items() if v is None]:
            self.parts.pop(name, None)
        lines = "\n".join(f"    {name}={text}," for name, text in self.parts.items())
        path = self.folder / "definitions.py"
        path.write_text(DEFINITIONS.format(code=code, parts=lines))
        return path

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """`mlpipe …` in a process of its own."""
        line = [sys.executable, "-m", "mlpipe", *arguments]
        env = {**os.environ, "DAGSTER_HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
        pipe = subprocess.PIPE
        return subprocess.Popen(line, cwd=self.folder, env=env, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, *arguments: str) -> Told:
        """`mlpipe …` in this process, which must be at work in the folder."""
        assert Path.cwd() == self.folder, "see the fixture `shop`"
        sys.modules.pop("definitions", None)
        return told(*arguments)

    # -- what became of it ----------------------------------------------------------------------------------------

    def refused(self, told: Told, code: int, *words: str) -> str:
        """The paragraph of a refusal: with its code and words, and nothing ugly."""
        assert told.code == code, told.err or told.out
        text = told.err[told.err.index("mlpipe: ") :].strip()
        assert not ugly(told)
        assert all(word in text for word in words), text
        assert len(text.splitlines()) <= MOST_LINES and max(map(len, text.splitlines())) <= LONGEST, text
        return text

    def sound(self) -> None:
        """The store holds nothing that is damaged or half written, and the chain of decisions is whole."""
        told = self("store", "verify", "--store", str(self.store))
        assert told.code == 0 and told.out.rstrip().endswith("nothing is wrong."), told.out + told.err
        assert LocalBackend(self.store).temporary() == 0

    def decisions(self) -> list[str]:
        """Kinds of the entries of the ledger, in order, read anew and verified."""
        entries = Ledger(LocalBackend(self.store), "shop")
        assert entries.verify() == []
        return [e.kind for e in entries.entries()]

    def records(self, asset: str) -> dict[str, Record]:
        """The newest record of an asset for each partition."""
        return {r.partition: r for r in self.all_records(asset)}

    def all_records(self, asset: str) -> list[Record]:
        """Every record of an asset, the newest last."""
        made = [from_bytes(data) for _, data in Store.open(str(self.store)).records("shop")]
        return sorted((r for r in made if r.asset == f"shop/{asset}"), key=lambda r: r.recorded_at)

    def table(self, asset: str, key: str) -> pd.DataFrame:
        """First table of the newest record of an asset."""
        return Store.open(str(self.store)).get_table(self.records(asset)[key].outputs[0].id)

    def verdicts(self, asset: str) -> dict[str, str]:
        """Verdict of the newest record of an asset for each partition."""
        return {key: record.verdict for key, record in self.records(asset).items()}
