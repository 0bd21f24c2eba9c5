"""Asking the ledger, and deciding by hand: what is printed, on which clock, in which chain, with which exit code."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from mlpipe.cli import main
from mlpipe.cli.decisions import moment_of
from mlpipe.errors import MlpipeError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.promotion import Candidate, decide
from mlpipe.records.codec import to_bytes
from mlpipe.stores.store import Store
from mlpipe_tests.cli.test_cli import Told, command, one_paragraph
from mlpipe_tests.index.made import record, training
from mlpipe_tests.orchestration.conftest import NO_TELEMETRY
from mlpipe_tests.stores.models import bundle_of

PROJECT = """\
import mlpipe as ml
from mlpipe_tests.orchestration.shop import shop

defs = shop(partitions=ml.daily(start="2024-01-01", timezone="America/New_York")).definitions()
"""
NEW_YORK = ZoneInfo("America/New_York")
Cli = Callable[..., Told]


def local(text: str) -> datetime:
    """A moment in New York."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def bundles(store: Store) -> list[str]:
    frame = pd.DataFrame({"size": [0.0, 1.0, 2.0, 3.0], "price": [1.0, 0.0, 1.0, 0.0]})
    made = (LogisticRegression(C=c).fit(frame, [0, 0, 1, 1]) for c in (0.1, 1.0))
    return [store.put_bundle(bundle_of(model, frame)).id for model in made]


def decided(ledger: Ledger, ids: list[str]) -> None:
    """Version 1 in production from 1 February, 2 from 10 February, both at six in the morning in New York; 3 refused on the 12th."""
    said = [
        ("2024-02-01 06:00", ids[0], True),
        ("2024-02-10 06:00", ids[1], True),
        ("2024-02-12 06:00", "b3", False),
    ]
    for number, (when, bundle, passed) in enumerate(said, start=1):
        champion = ledger.state().champion
        sentence = f"roc_auc is 0.{number}, at least 0.6 is asked"
        gate = {
            "gate": "at_least(roc_auc, 0.6)",
            "verdict": "pass" if passed else "fail",
            "sentence": sentence,
        }
        model = Candidate(
            bundle,
            f"rec-{number}",
            local(when),
            "drift",
            "sensor",
            gates_passed=passed,
            gate_sentence="" if passed else sentence,
            champion=champion.number if champion else None,
        )
        told = {"actor": "nightly", "reason": f"drift of size, no. {number}", "now": local(when)}
        decide(ledger, model, details={"gates": [gate]}, **told)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with decisions, written down from 1 March on, a minute apart; for copying only."""
    folder = tmp_path_factory.mktemp("decided")
    (folder / "definitions.py").write_text(PROJECT)
    (folder / "home").mkdir()
    (folder / "home/dagster.yaml").write_text(NO_TELEMETRY)
    store = Store.open(str(folder / "home/mlpipe"))
    minutes = count()
    clock = lambda: datetime(2024, 3, 1, tzinfo=UTC) + timedelta(minutes=next(minutes))  # noqa: E731
    ids = bundles(store)
    decided(Ledger(store.backend, "shop", clock=clock), ids)
    decided(Ledger(store.backend, "shop", deployment="weekly", clock=clock), [ids[1], ids[0]])
    return folder


@pytest.fixture
def folder(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "project"
    shutil.copytree(project, made)
    monkeypatch.chdir(made)
    monkeypatch.setenv("DAGSTER_HOME", str(made / "home"))
    return made


@pytest.fixture
def cli(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """`mlpipe …` in this process, in a copy of the project."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def call(*arguments: str) -> Told:
        sys.modules.pop("definitions", None)
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        out, err = capsys.readouterr()
        return Told(int(caught.value.code or 0), out, err)

    yield call
    sys.modules.pop("definitions", None)


def ledger_at(folder: Path, name: str = "dev") -> Ledger:
    return Ledger(Store.open(str(folder / "home/mlpipe")).backend, "shop", deployment=name)


def flat(told: Told) -> str:
    assert told.code == 0, told.err
    return " ".join(told.out.split())


# -- the moment that is asked for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2013-07-03 14:03", "2013-07-03T18:03+00:00"),
        ("2013-01-03T14:03", "2013-01-03T19:03+00:00"),
        ("2013-07-03T14:03-07:00", "2013-07-03T21:03+00:00"),
        ("2013-07-03T14:03Z", "2013-07-03T14:03+00:00"),
        ("2013-07-03", "2013-07-04T03:59:59.999999+00:00"),
        ("2013-03-10", "2013-03-11T03:59:59.999999+00:00"),
        ("2013-11-03", "2013-11-04T04:59:59.999999+00:00"),
    ],
)
def test_moments_by_hand(text: str, instant: str) -> None:
    found, note = moment_of(text, NEW_YORK)
    assert found == datetime.fromisoformat(instant) and found.utcoffset() == timedelta(0)
    assert ("New_York" in note) == (not text.endswith(("Z", "-07:00")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2013-03-10 02:30", ["skips", "02:30:00-05:00 or 2013-03-10T02:30:00-04:00"]),
        ("2013-11-03 01:30", ["shows twice", "01:30:00-04:00 or 2013-11-03T01:30:00-05:00"]),
        ("yesterday", ["'yesterday' is no time", '"2013-07-03 14:03"']),
        ("2013-02-30", ["is no time"]),
    ],
)
def test_a_moment_that_nobody_can_know_is_refused(text: str, words: list[str]) -> None:
    with pytest.raises(MlpipeError) as caught:
        moment_of(text, NEW_YORK)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),
    st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin"]),
)
def test_a_local_time_comes_back_as_it_was_written(written: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    try:
        instant, _ = moment_of(written.isoformat(" "), zone)
    except MlpipeError:
        assert name == "Europe/Berlin" and written.month in (3, 10)
        return
    assert instant.astimezone(zone).replace(tzinfo=None) == written


# -- as-of --------------------------------------------------------------------------------------------------------------


def test_before_the_first_promotion_nothing_was_in_production_and_the_first_is_told(cli: Cli) -> None:
    text = flat(cli("as-of", "shop", "2024-02-01 05:59"))
    assert "Nothing was in production at 2024-02-01 05:59 EST (2024-02-01 10:59 UTC)" in text
    assert "first shop@1 by nightly, in effect from 2024-02-01 06:00 EST" in text
    told = json.loads(cli("as-of", "shop", "2024-02-01 05:59", "--json").out)
    assert told["champion"] is None and told["decision"] is None and told["first"]["to_version"] == 1


def test_a_moment_answers_what_who_when_why_the_gates_and_what_was_replaced(cli: Cli) -> None:
    text = flat(cli("as-of", "shop", "2024-02-10 06:00"))
    for words in (
        "shop@2 was in production at 2024-02-10 06:00 EST (2024-02-10 11:00 UTC).",
        "decided promote by nightly (sensor, trigger drift), ledger entry 4",
        "in effect from 2024-02-10 06:00 EST (2024-02-10 11:00 UTC); recorded 2024-03-01 00:0",
        "why drift of size, no. 2",
        "gates pass: at_least(roc_auc, 0.6): roc_auc is 0.2, at least 0.6 is asked",
        "replaced shop@1",
        "'2024-02-10 06:00' has no zone and was read in the pipeline's, America/New_York.",
        "(--clock data), in the ledger 'dev'",
    ):
        assert words in text, text
    told = json.loads(cli("as-of", "shop", "2024-02-10T05:59:59-05:00", "--json").out)
    assert told["champion"]["version"] == 1 and told["note"] == "" and told["replaced"] is None
    assert told["decision"]["number"] == 2 and told["gates"][0]["verdict"] == "pass"
    assert told["champion"]["since"].startswith("2024-02-01T11:00")


def test_a_date_alone_is_its_end(cli: Cli) -> None:
    text = flat(cli("as-of", "shop", "2024-02-10"))
    assert "shop@2 was in production at 2024-02-10 23:59 EST" in text and "the end of that day" in text
    assert "shop@1 was in production" in cli("as-of", "shop", "2024-02-09").out


def test_the_clock_of_the_wall_asks_what_had_been_written_down(cli: Cli) -> None:
    assert "Nothing was in production" in cli("as-of", "shop", "2024-02-20", "--clock", "wall").out
    assert "shop@2 was in production" in cli("as-of", "shop", "2024-02-20").out
    text = flat(cli("as-of", "shop", "2024-03-02", "--clock", "wall"))
    assert "shop@2 was in production" in text and "decisions that had been recorded by then" in text


def test_after_an_override_and_a_rollback_it_tells_so(cli: Cli) -> None:
    assert cli("rollback", "shop", "--reason", "complaints").code == 0
    text = flat(cli("as-of", "shop", "2199-01-01"))
    assert "shop@1 was in production" in text and "decided rollback by" in text and "why complaints" in text
    assert "replaced shop@2" in text and "paused then" in text


# -- deciding -----------------------------------------------------------------------------------------------------------


def test_a_rollback_tells_of_the_pause_until_somebody_acknowledges(cli: Cli, folder: Path) -> None:
    one_paragraph(cli("acknowledge", "shop", "--reason", "x"), 1, "not paused")
    pause = 'To end the pause: mlpipe acknowledge shop --reason "…"'
    told = cli("rollback", "shop", "--reason", "complaints")
    assert "shop@2 was in production; shop@1 is again. Ledger entry 7." in told.out and pause in told.out
    assert pause in cli("history", "shop").out
    told = cli("promote", "shop", "2", "--reason", "it was the feed", "--override")
    assert "shop@2 is now." in told.out and pause in told.out
    told = cli("acknowledge", "shop", "--reason", "the feed is mended", "--json")
    made = json.loads(told.out)
    assert (made["kind"], made["reason"], made["number"]) == ("acknowledge", "the feed is mended", 9)
    assert not ledger_at(folder).state().paused and "paused" not in cli("history", "shop").out
    one_paragraph(cli("acknowledge", "shop", "--reason", "x"), 1, "not paused")


def test_another_ledger_is_asked_and_decided_in_by_name_and_not_shown_in_dagster(
    cli: Cli, folder: Path
) -> None:
    assert "(--clock data), in the ledger 'weekly'" in flat(
        cli("as-of", "shop", "2024-02-10", "--ledger", "weekly")
    )
    told = cli("rollback", "shop", "--reason", "to see", "--ledger", "weekly")
    assert told.code == 0 and "mlpipe acknowledge shop --ledger weekly" in told.out
    assert "mlpipe acknowledge shop --ledger weekly" in cli("history", "shop", "--ledger", "weekly").out
    assert cli("acknowledge", "shop", "--reason", "seen", "--ledger", "weekly").code == 0
    assert cli("promote", "shop", "2", "--reason", "x", "--override", "--ledger", "weekly").code == 0
    assert len(ledger_at(folder, "weekly").entries()) == 9 and len(ledger_at(folder).entries()) == 6
    with dg.DagsterInstance.get() as on:
        assert not on.fetch_materializations(dg.AssetKey(["shop", "production"]), limit=1).records
    assert cli("rollback", "shop", "--reason", "x", "--ledger", "dev").code == 0
    with dg.DagsterInstance.get() as on:
        assert len(on.fetch_materializations(dg.AssetKey(["shop", "production"]), limit=9).records) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "shop"),
        ("as-of", "shop", "2024-02-10"),
        ("promote", "shop", "1", "--reason", "x"),
        ("rollback", "shop", "--reason", "x"),
        ("acknowledge", "shop", "--reason", "x"),
        ("ledger", "verify", "shop"),
    ],
)
def test_a_ledger_that_does_not_exist_is_an_error_with_those_that_do(
    cli: Cli, arguments: tuple[str, ...]
) -> None:
    one_paragraph(cli(*arguments, "--ledger", "wekly"), 4, "no ledger 'wekly'", "Did you mean 'weekly'?")
    one_paragraph(cli(*arguments, "--ledger", "../x"), 4, "no ledger '../x'", "Valid: dev, weekly.")


def judged(folder: Path, version: int, gates: list[tuple[str, str]], older: bool = False) -> None:
    """Register a version whose staging gates were decided as `gates` say (kind, verdict), an hour after the training or before it."""
    store = Store.open(str(folder / "home/mlpipe"))
    model = training(version, pipeline="shop", asset="shop/model")
    said = [
        {"gate": k, "kind": k, "verdict": v, "sentence": f"{k}: {v}ed"}
        | {"limit": None, "observed": None, "interval": None, "evidence": []}
        for k, v in gates
    ]
    data = {"bundle": f"bundle-{version}", "model_record": model.id, "staging_gates": said}
    when = model.recorded_at + timedelta(hours=-1 if older else 1)
    made = record(version, "evaluate", pipeline="shop", asset="shop/evaluation", data=data, recorded_at=when)
    for one in (model, made):
        store.add_record("shop", one.id, to_bytes(one))
    case = Candidate(
        f"bundle-{version}", made.id, local("2024-02-11"), "backfill", "backfill", True, champion=2
    )
    named = {"model_record": model.id, "evaluation_record": made.id}
    told = {"actor": "ana", "reason": "by hand", "now": local("2024-02-12")}
    assert decide(ledger_at(folder), case, details=named, **told).version.number == version


def test_onto_staging_by_the_gates_that_are_declared_for_it(cli: Cli, folder: Path) -> None:
    told = cli("promote", "shop", "3", "--to", "staging", "--reason", "load test")
    assert told.out == "shop@3 is on staging now. Ledger entry 7.\n", "none is declared"
    declared = PROJECT.replace("shop(", 'shop(gates={"staging": [ml.gate.robust()], "production": []}, ')
    (folder / "definitions.py").write_text(declared)
    for version, gates, older in (
        (4, [], False),
        (5, [("robust", "fail")], False),
        (6, [("robust", "pass")], True),
        (7, [("robust", "pass")], False),
    ):
        judged(folder, version, gates, older)
    to = ("--to", "staging", "--reason", "load test")
    one_paragraph(cli("promote", "shop", "4", *to), 1, "staging gates robust", "evaluate it again")
    one_paragraph(cli("promote", "shop", "5", *to), 1, "robust: failed")
    one_paragraph(cli("promote", "shop", "6", *to), 1, "evaluation is older than the model")
    one_paragraph(cli("promote", "shop", "6", "--reason", "x"), 1, "evaluation is older than the model")
    assert "shop@7 is on staging now." in flat(cli("promote", "shop", "7", *to))
    assert "shop@5 is on staging now." in flat(cli("promote", "shop", "5", *to, "--override"))
    state = ledger_at(folder).state()
    assert state.champion is state.versions[2] and [state.versions[n].stage for n in (4, 7)] == [
        "candidate",
        "staging",
    ]
    history = [line.split() for line in cli("history", "shop").out.splitlines()]
    assert [line[3:5] for line in history if "shop@7" in line] == [
        ["register", "shop@7"],
        ["refuse", "shop@7"],
        ["stage", "shop@7"],
    ]
    assert [line[3:7] for line in history if "shop@5" in line][-1] == ["stage", "by", "override", "shop@5"]
    found = cli("runs", 'release_stage = "staging" order by version', "--sync", "--keys", "version", "--json")
    assert found.code == 0 and [row["version"] for row in json.loads(found.out)["rows"]] == [5, 7], found.err
    assert cli("ledger", "verify", "shop").code == 0


# -- ledger verify ------------------------------------------------------------------------------------------------------


def entry(folder: Path, number: int, name: str = "dev") -> Path:
    return folder / f"home/mlpipe/ledger/shop/_/{name}/{number:08d}.json"


def test_a_whole_chain_is_one_line(cli: Cli) -> None:
    told = cli("ledger", "verify", "shop")
    assert told.code == 0 and len(told.out.splitlines()) == 1
    assert "6 entries of ledger/shop/_/dev are whole" in told.out and "would not show" in told.out
    assert cli("rollback", "shop", "--reason", "complaints").code == 0
    told = cli("ledger", "verify", "shop")
    assert told.code == 0 and "Dagster knows the chain up to entry 7, and agrees." in told.out
    assert (
        "6 entries of ledger/shop/_/weekly are whole"
        in cli("ledger", "verify", "shop", "--ledger", "weekly").out
    )


def test_every_finding_is_told_and_the_code_is_one(cli: Cli, folder: Path) -> None:
    for number, edit in ((2, b"nightly"), (5, b"refuse")):
        file = entry(folder, number)
        data = file.read_bytes()
        file.chmod(0o644)
        file.write_bytes(data.replace(edit[:1], b"N", 1))
    told = cli("ledger", "verify", "shop")
    assert told.code == 1 and "2 things are wrong with ledger/shop/_/dev" in told.out
    assert "entry 2: " in told.out and "entry 5: " in told.out and told.err == ""
    told = cli("ledger", "verify", "shop", "--json")
    made = json.loads(told.out)
    assert told.code == 1 and len(made["findings"]) == 2 and made["entries"] is None
    assert cli("history", "shop").code == 1, "a broken chain answers nothing"


def test_a_tail_that_was_cut_off_is_found_by_what_dagster_knows(cli: Cli, folder: Path) -> None:
    """Also where the tail is no move: the acknowledgement is entry 8."""
    assert cli("rollback", "shop", "--reason", "complaints").code == 0
    assert cli("acknowledge", "shop", "--reason", "mended").code == 0
    entry(folder, 8).unlink()
    told = cli("ledger", "verify", "shop")
    assert told.code == 1 and "entry 7 is the last, but the mirror knows entry 8" in told.out
    # Whoever writes another tail, and lets it be mirrored, does not hide it.
    assert cli("acknowledge", "shop", "--reason", "nothing happened").code == 0
    told = cli("ledger", "verify", "shop")
    assert told.code == 1 and "Entry 8 is not the one that the mirror knows" in told.out


def test_without_dagster_the_chain_alone_is_checked_and_that_is_said(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_STORE", str(folder / "home/mlpipe"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    told = cli("ledger", "verify", "shop")
    assert told.code == 0 and "6 entries" in told.out and "would not show" in told.out
    assert "Dagster's mirror is not compared: DAGSTER_HOME is not set" in told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("as-of",), ["the end of that day", "--clock wall", "mlpipe as-of flights", "--ledger NAME"]),
        (("acknowledge",), ["End the pause", "example:", "--json"]),
        (("rollback",), ["automatic promotion is paused", "mlpipe acknowledge", "example:"]),
        (("promote",), ["--ledger NAME", "--to {staging,production}", "examples:"]),
        (("history",), ["--ledger NAME", "example:"]),
        (("ledger", "verify"), ["Exit code 0 when nothing is wrong", "example:"]),
        (("ledger",), ["verify"]),
    ],
)
def test_help_teaches(cli: Cli, arguments: tuple[str, ...], words: list[str]) -> None:
    text = flat(cli(*arguments, "--help")).lower()
    assert all(word.lower() in text for word in words), text


def test_from_a_shell_end_to_end(folder: Path) -> None:
    done = command(folder, "rollback", "shop", "-f", "definitions.py", "--reason", "complaints")
    assert done.returncode == 0 and "shop@1 is again" in done.stdout and done.stderr == "", done.stderr
    done = command(folder, "ledger", "verify", "shop")
    assert done.returncode == 0 and "up to entry 7, and agrees" in done.stdout and done.stderr == "", (
        done.stderr
    )
