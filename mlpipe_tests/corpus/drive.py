"""Commands in this process, and what `init` concluded against what was expected of it."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpipe import cli
from mlpipe.orchestration.definitions import PIPELINES
from mlpipe_tests.corpus.case import Case

UNSET = ("DAGSTER_HOME", "MLPIPE_STORE", "MLPIPE_DEPLOYMENT")
DOCUMENTED = {0, 2, *(code for _, code, _ in cli.EXIT_CODES)}
"""Exit codes that `mlpipe --help` lists."""


@dataclass(frozen=True)
class Told:
    """What a command left behind: its exit code, its output, its complaints."""

    code: int
    out: str
    err: str


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in a folder without DAGSTER_HOME; whatever a project leaves in this process is taken back."""
    before, path, modules, here = dict(os.environ), list(sys.path), set(sys.modules), Path.cwd()
    known = set(PIPELINES)
    for name in UNSET:
        os.environ.pop(name, None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        sys.path[:] = path
        for name in [m for m in sys.modules if m not in modules and m.split(".")[0].endswith("_project")]:
            del sys.modules[name]
        for name in set(PIPELINES) - known:
            del PIPELINES[name]


def told(*arguments: str) -> Told:
    """A command in this process. An exception that it lets out is the caller's."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(arguments)
        except SystemExit as left:
            code = left.code
    return Told(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())


def surroundings() -> dict[str, str]:
    """The environment of a user who has set nothing of Dagster's or mlpipe's."""
    return {k: v for k, v in os.environ.items() if k not in UNSET}


def ugly(result: Told) -> list[str]:
    """What nobody should see: tracebacks, warnings of libraries, errors that mlpipe did not foresee, unknown exit codes."""
    text = result.out + result.err
    found = [sign for sign in ("Traceback", "Warning:", "--debug at the end") if sign in text]
    found += [] if result.code in DOCUMENTED else [f"exit code {result.code}"]
    return [f"{sign} in: {text[-1500:]}" for sign in found]


def differences(case: Case, concluded: dict[str, Any]) -> list[str]:
    """What `init --json` concluded otherwise than a sensible person would."""
    expect, found = case.expect, []

    def say(what: str, wanted: object, got: object) -> None:
        found.append(f"{what}: expected {wanted}, got {got!r}")

    if expect.time is not None and (concluded["time"] or "") != expect.time:
        say("time", repr(expect.time), concluded["time"])
    for name in ("every", "task", "timezone", "positive"):
        wanted = getattr(expect, name)
        if wanted and concluded[name] not in wanted:
            say(name, wanted, concluded[name])
    for name in ("format", "rows", "start"):
        wanted = getattr(expect, name)
        if wanted and concluded[name] != wanted:
            say(name, wanted, concluded[name])
    for column in expect.features:
        if column not in concluded["features"]:
            say(f"feature {column!r}", "kept", concluded["left_out"].get(column))
    for column, reason in expect.left_out.items():
        got = concluded["left_out"].get(column)
        if got is None or not re.search(reason, got, re.IGNORECASE):
            say(f"left out {column!r}", reason, got)
    for column, form in expect.clean.items():
        got = concluded["clean"].get(column, {})
        if any(got.get(k) != v for k, v in form.items()):
            say(f"clean {column!r}", form, got)
    if expect.guess and not any(re.search(expect.guess, g) for g in concluded["guesses"]):
        say("guess", expect.guess, concluded["guesses"])
    return found


def concluded(result: Told) -> dict[str, Any]:
    """The one JSON object that `init --json` prints."""
    held = json.loads(result.out)
    assert isinstance(held, dict)
    return held


def refusal(case: Case, result: Told, folder: Path, before: set[str]) -> list[str]:
    """What is wrong with the way in which a case is refused: code, sentence, or something that was left behind."""
    found = (
        [] if result.code == case.expect.code else [f"exit code {result.code}, expected {case.expect.code}"]
    )
    if not re.search(case.expect.refused, result.err, re.DOTALL):
        found.append(f"expected {case.expect.refused!r} in: {result.err}")
    left = {p.name for p in folder.iterdir()} - before
    return found + [f"left behind: {name}" for name in sorted(left)]


def quarantined(summary: str) -> float:
    """Share of rows that the summary of a run says were quarantined."""
    rows = re.search(r"([\d,]+) frozen, ([\d,]+) quarantined", summary)
    assert rows is not None, summary
    frozen, lost = (int(n.replace(",", "")) for n in rows.groups())
    return lost / max(frozen, 1)
