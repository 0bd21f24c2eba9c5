"""Errors as they are printed, for `docs/errors.md`.

``python -m mlpipe_tests.refusals.transcripts`` writes the page anew.
"""

import errno
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mlpipe.cli import EXITS
from mlpipe_tests.corpus.drive import Told
from mlpipe_tests.house import ROOT
from mlpipe_tests.refusals.conftest import FIRST, LAST, NEXT, TRAINED, at_work
from mlpipe_tests.refusals.project import Project, days, orders, refusing

PAGE = ROOT / "docs/errors.md"
HOME = "/srv/shop"
"""The folder of the project, as the page calls it."""
HEAD = """\
# Errors

An error is a paragraph on the error stream: what is wrong, and where (file, line, key, column, partition); then what to do
about it. Of several mistakes at most ten are
spelled out, and the others counted. `--debug`, at the end of a command, shows the traceback. What was finished before an error
is on record, and the same command goes
on from there. A partition that fails holds up no other: the others are done, and the command ends with the error of those that
failed.

A model that cannot be learned (one class, too few rows) is no error but a result: a refusal, on record with its reason. So is a
partition that fails its contract.

| exit code | meaning |
|---|---|
"""
MIDDLE = """
A test runs all that follows and compares this page with what is printed; `python -m mlpipe_tests.refusals.transcripts` writes
it anew. Lines of progress are left out.
"""
FIRST_TRY = """
## With data that nobody has looked at

In a folder with `orders.csv`, and `orders.parquet` that was cut short.
"""
RUNNING = """
## With a pipeline that runs

A small shop with a file a day, a logistic regression, and a model in production.
"""
FUNCTION = """
import time


def features(frames, history):
    rows = frames["rows"]
    {body}
"""
WRONG = """\
import mlpipe as ml
from sklearn.linear_model import LogisticRegression

shop = ml.Pipeline(
    name="shop",
    partitions=ml.daily(start="2024-01-01"),
    source=ml.CSV("data/{partition}.csv", evnt_time="at", keys=["order"]),
    label=ml.Label("late", available_after="2 days"),
    features=["size", "size"],
    model=LogisticRegression(),
    metrics=["roc_auk"],
)
defs = shop.definitions()
"""
Spoil = Callable[[Project], object]


@dataclass(frozen=True)
class Case:
    """One transcript: what was done to the project beforehand, and the command."""

    title: str
    spoil: Spoil
    command: tuple[str, ...]
    around: Callable[[], AbstractContextManager[None]] = field(default=nullcontext)


def _renamed(project: Project) -> None:
    project.data(NEXT, orders(NEXT).rename(columns={"size": "Size"}))


def _function(body: str, project: Project, **parts: str) -> None:
    project.declare(FUNCTION.format(body=body), features="features", **parts)


def _several(project: Project) -> None:
    (project.folder / f"data/{days()[0]}.csv").unlink()
    project.data(days()[3], orders(days()[3]).drop(columns="at"))


def _one_class(project: Project) -> None:
    for key in days():
        project.data(key, orders(key).assign(late=1))


def _tampered(project: Project) -> None:
    """Two versions, and the earlier one with a byte that is another."""
    assert project("run", "shop", "--from", TRAINED, "--train-at", NEXT).code == 0
    assert project("promote", "shop", "2", "--reason", "for the page", "--override").code == 0
    first = project.all_records("model")[0].outputs[0].id
    (file,) = project.store.rglob(f"{first}.zip")
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


def _orders(project: Project) -> None:
    """A file of orders, and one that was cut short."""
    frame = orders(FIRST, rows=40).assign(paid=1).drop(columns="at")
    frame.to_csv(project.folder / "orders.csv", index=False)
    frame.to_parquet(project.folder / "orders.parquet")
    whole = (project.folder / "orders.parquet").read_bytes()
    (project.folder / "orders.parquet").write_bytes(whole[: len(whole) // 2])


def _init(title: str, name: str, data: str, label: str) -> Case:
    return Case(title, _orders, ("init", name, "--data", data, "--label", label))


LOOKED_AT = (
    _init("There is no such file", "shop", "order.csv", "late"),
    _init("There is no such column", "shop", "orders.csv", "lat"),
    _init("The label is always the same", "shop", "orders.csv", "paid"),
    _init("A file was cut short", "shop", "orders.parquet", "late"),
    _init("No pipeline can have that name", "../Shop 1", "orders.csv", "late"),
)
CASES = (
    Case(
        "A file is missing",
        lambda p: (p.folder / f"data/{NEXT}.csv").unlink(),
        ("run", "shop", "--from", NEXT),
    ),
    Case("A column has another name", _renamed, ("run", "shop", "--from", NEXT)),
    Case(
        "A function of yours raises",
        partial(_function, 'return rows[["size"]] / rows["weight"]'),
        ("run", "shop", "--from", NEXT),
    ),
    Case(
        "A function of yours never ends",
        partial(_function, "time.sleep(3600)", timeout='"0.5s"'),
        ("run", "shop", "--from", NEXT),
    ),
    Case(
        "Two days of six are bad, and the others are done",
        _several,
        ("run", "shop", "--from", FIRST, "--to", LAST, "--watch-to", FIRST),
    ),
    Case(
        "There is one class to learn from",
        _one_class,
        ("run", "shop", "--from", FIRST, "--to", TRAINED, "--train-at", NEXT, "--watch-to", FIRST),
    ),
    Case(
        "A declaration has several mistakes",
        lambda p: (p.folder / "definitions.py").write_text(WRONG),
        ("check",),
    ),
    Case("There is no such partition", lambda p: None, ("run", "shop", "--from", "2024-02-30")),
    Case(
        "The disk is full",
        lambda p: None,
        ("run", "shop", "--from", NEXT),
        partial(refusing, errno.ENOSPC),
    ),
    Case("A model was tampered with", _tampered, ("rollback", "shop", "--reason", "complaints since Monday")),
)


def document(trained: Project, folder: Path) -> str:
    """The page, from cases in an empty folder, and others on copies of a project in which a model was trained."""
    codes = "".join(f"| {code} | {text} |\n" for code, text in EXITS)
    page = HEAD + codes + MIDDLE + FIRST_TRY
    for n, case in enumerate(LOOKED_AT):
        (folder / f"new{n}").mkdir()
        page += _section(case, Project(folder / f"new{n}"))
    page += RUNNING
    for n, case in enumerate(CASES):
        shutil.copytree(trained.folder, folder / str(n))
        page += _section(case, Project(folder / str(n), dict(trained.parts)))
    return page


def _section(case: Case, at: Project) -> str:
    folder = at.folder
    with at_work(at) as project:
        case.spoil(project)
        with case.around():
            told = project(*case.command)
    quoted = " ".join(f'"{word}"' if " " in word else word for word in case.command)
    printed = "\n".join(_printed(told, folder))
    return f"\n### {case.title}\n\n```text\n$ mlpipe {quoted}\n{printed}\n$ echo $?\n{told.code}\n```\n"


def _printed(told: Told, folder: Path) -> Iterator[str]:
    """What a command printed, without what differs from run to run: progress, folders, times and ids."""
    progress = r"  shop/\w+ \d+/\d+ \(|[a-z]+(, [a-z]+)*: \d{4}-"
    complaints = [line for line in told.err.splitlines() if line.strip() and not re.match(progress, line)]
    for line in [*told.out.rstrip().splitlines(), *([""] if told.out and complaints else []), *complaints]:
        line = line.replace(str(folder), HOME)
        line = re.sub(r"(bundle|table)-[0-9a-f]{8}[0-9a-f]{32}", r"\1-…", line)
        line = re.sub(r"objects/table/[0-9a-f]{2}/", "objects/table/…/", line)
        yield re.sub(r"Took .* MB of memory", "Took … s and at most … MB of memory", line)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        made = Project(Path(work) / "trained").make()
        with at_work(made):
            done = made("run", "shop", "--from", FIRST, "--to", LAST, "--train-at", TRAINED)
        assert done.code == 0, done.err
        PAGE.write_text(document(made, Path(work)), encoding="utf-8")
    print(f"{PAGE} is written.")
