"""`mlpipe drift` on a pipeline that drifted: the cause, the page, and what was never watched."""

import re
from pathlib import Path

import pytest

from mlpipe.cli import drifting, main
from mlpipe.ledger.chain import Ledger
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written


@pytest.fixture
def drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(frame):  # type: ignore[no-untyped-def]
        return frame.assign(hours=frame["hours"] * 3 + 10)

    spec = spec_of(
        written(tmp_path / "data", days(32), **{f"d{n}": shifted for n in range(29, 32)}),
        slices={"by": ["city"], "by_itself": False, "min_support": 20},
        monitor={"window": 3, "grid_window": 5, "slices": True},
    )
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(32))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    world.run_all(LIVE, spec, days(7, first=25))
    chain = Ledger(world.store.backend, spec.name)
    monkeypatch.setattr(drifting, "chosen", lambda args: (spec, world.store, chain))
    monkeypatch.setattr("mlpipe.orchestration.runtime.ledger_of", lambda *given: chain)


def code(*words: str) -> object:
    """Exit code of a command."""
    with pytest.raises(SystemExit) as done:
        main(list(words))
    return done.value.code


@pytest.mark.usefixtures("drifted")
def test_drift_is_told_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "drift.html"
    assert code("drift", "churn", "--days", "5", "--html", str(page)) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"churn on {day(31)}: covariate drift in hours\n  began on {day(29)}\n")
    assert f"{day(27)} to {day(31)}" in out and "<svg" in page.read_text()
    # The first shifted day is over its limit, the second opens the alarm.
    assert re.search(r"city=Bonn +drifts +··▒▲▲\n", out) and "city=Bonn" in page.read_text()
    assert code("drift", "churn", "--on", day(27)) == 0
    assert capsys.readouterr().out.startswith(f"churn on {day(27)}: nothing is raised\n")
    assert code("drift", "churn", "--on", "2030-01-01") == 4
    assert f"Watched: {day(25)} to {day(31)}" in capsys.readouterr().err


@pytest.mark.usefixtures("drifted")
def test_where_nothing_was_watched_other_chains_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, store, chain = drifting.chosen(None)  # type: ignore[arg-type]
    elsewhere = spec.model_copy(update={"deployment": "prod"})
    monkeypatch.setattr(drifting, "chosen", lambda args: (elsewhere, store, chain))
    monkeypatch.setattr(
        "mlpipe.orchestration.runtime.ledger_of",
        lambda *given: Ledger(store.backend, spec.name, deployment="prod"),
    )
    assert code("drift", "churn") == 4
    said = capsys.readouterr().err
    assert "churn was never watched" in said and f"looked at by --ledger: {chain.deployment}" in said
