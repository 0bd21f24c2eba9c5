"""A past model made again from its record alone: in an empty folder, from the archive, and what is said when something is otherwise."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlpipe.cli import parser
from mlpipe.cli.reproducing import DIFFERENT, _asked
from mlpipe.errors import DataError, NotFoundError
from mlpipe.ledger.references import Reference
from mlpipe.orchestration.reproducing import reproduce, surroundings
from mlpipe.records.codec import sealed, to_bytes
from mlpipe_tests.orchestration.past import TRAIN_AT, Past, lived


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    with pytest.MonkeyPatch.context() as patch:
        yield lived(tmp_path_factory.mktemp("past"), patch)


def command(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`mlpipe reproduce` in a folder that holds nothing."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "MLPIPE", "OMP", "OPENBLAS"))}
    return subprocess.run(
        [sys.executable, "-m", "mlpipe", "reproduce", *arguments],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_version_comes_out_identical_in_an_empty_folder_that_never_ran_the_project(
    past: Past, tmp_path: Path
) -> None:
    copy = past.copied(tmp_path / "copy")
    before = {path for path, _ in copy.store.backend.list()}
    (tmp_path / "empty").mkdir()
    # Today the project makes other features: what was recorded is made again all the same, from the archive.
    features = past.folder / "pastshop/features.py"
    text = features.read_text()
    features.write_text(text.replace("FACTOR = 2.0", "FACTOR = 3.0"))
    try:
        done = command(
            tmp_path / "empty",
            "pastshop@1",
            "--store",
            str(copy.store_folder),
            "--json",
            PYTHONPATH=str(past.folder),
        )
    finally:
        features.write_text(text)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] == "identical" and answer["version"] == 1
    assert {"bundle", "score_grid", "score_profile", "log", "scored"} <= {
        a["name"] for a in answer["outputs"]
    }
    assert all(a["verdict"] == "identical" for a in (*answer["outputs"], *answer["metrics"]))
    assert "test.roc_auc" in {a["name"] for a in answer["metrics"]}
    assert answer["read"] == 20 and not answer["differences"]
    assert {path for path, _ in copy.store.backend.list()} == before
    assert not list((tmp_path / "empty").iterdir())


def test_another_thread_count_is_told_and_a_sample_is_drawn_from_what_was_released(
    past: Past, tmp_path: Path
) -> None:
    done = command(
        tmp_path, "--sample", "5", "--seed", "7", "--store", str(past.store_folder), OMP_NUM_THREADS="2"
    )
    assert done.returncode == 0, done.stderr
    assert "drawn from 1 that were in production (--seed 7): pastshop@1" in done.stderr
    assert "IDENTICAL" in done.stdout and "threads.OMP_NUM_THREADS" in done.stdout
    assert "now 2" in done.stdout


def test_a_tampered_input_is_named_with_its_partition(past: Past, tmp_path: Path) -> None:
    copy = past.copied(tmp_path / "copy")
    training = next(r for r in copy.records("train") if r.partition == TRAIN_AT)
    read = next(i for i in training.inputs if i.name == "labels" and i.partition == "2024-01-05")
    other = next(i for i in training.inputs if i.name == "labels" and i.partition == "2024-01-06")
    at = copy.store_folder / copy.store.path_of(read.id)
    at.chmod(0o644)
    at.write_bytes((copy.store_folder / copy.store.path_of(other.id)).read_bytes())
    done = command(tmp_path, "pastshop@production", "--store", str(copy.store_folder))
    assert done.returncode == 8, done.stderr
    assert "labels 2024-01-05" in done.stderr and "is not what it was" in done.stderr


def test_rows_from_outside_and_decisions_cannot_be_made_again(past: Past) -> None:
    for stage, why in (("ingest", "source outside"), ("register", "a decision")):
        record = past.records(stage)[0]
        with pytest.raises(DataError, match=why):
            reproduce(past.store, Reference("pastshop", record.id))


@pytest.mark.parametrize("stage", ["validate", "feature", "label", "predict", "monitor"])
@pytest.mark.long
def test_what_other_stages_made_comes_out_identical_too(past: Past, stage: str) -> None:
    record = past.records(stage)[-1]
    answer = reproduce(past.store, Reference("pastshop", record.id))
    assert answer["verdict"] == "identical", answer


def test_without_its_code_it_says_so(past: Past, tmp_path: Path) -> None:
    copy = past.copied(tmp_path / "copy")
    training = copy.records("train")[0]
    (copy.store_folder / copy.store.path_of(training.code.archive)).unlink()
    with pytest.raises(NotFoundError, match="archive of its code"):
        reproduce(copy.store, Reference("pastshop", training.id))


def test_what_comes_out_different_ends_with_a_code_of_its_own(past: Past, tmp_path: Path) -> None:
    copy = past.copied(tmp_path / "copy")
    training = copy.records("train")[0]
    bundle = copy.store.get_bundle(training.output("bundle").id)
    claimed = copy.store.put_bundle(replace(bundle, threshold=0.123))
    outputs = tuple(
        o.model_copy(update={"id": claimed.id}) if o.name == "bundle" else o for o in training.outputs
    )
    record = sealed(training.model_copy(update={"outputs": outputs}))
    copy.store.add_record("pastshop", record.id, to_bytes(record))
    done = command(tmp_path, record.id, "--store", str(copy.store_folder))
    assert done.returncode == DIFFERENT, done.stderr
    assert "DIFFERENT" in done.stdout and "threshold 0.123, now" in done.stdout


def test_surroundings_lead_to_no_code_of_today(past: Past) -> None:
    record = past.records("train")[0]
    threads = {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "", "OPENBLAS_NUM_THREADS": "2"}
    then = record.model_copy(
        update={
            "environment": record.environment.model_copy(update={"threads": threads}),
            "deployment": "prod",
        }
    )
    given = {
        "PYTHONPATH": "/today",
        "DAGSTER_HOME": "/h",
        "MLPIPE_STORE": "/s",
        "OPENBLAS_NUM_THREADS": "1",
        "HOME": "/me",
    }
    made = surroundings(then, given)
    assert made["OMP_NUM_THREADS"] == "4" and made["OPENBLAS_NUM_THREADS"] == "1" and made["HOME"] == "/me"
    assert made["MLPIPE_DEPLOYMENT"] == "prod" and "/today" not in made["PYTHONPATH"]
    assert not {"DAGSTER_HOME", "MLPIPE_STORE", "MKL_NUM_THREADS"} & set(made)
    replayed = surroundings(then.model_copy(update={"deployment": "replay-1"}), given)
    assert "MLPIPE_DEPLOYMENT" not in replayed


def test_what_to_make_again_is_named_in_every_way(past: Past) -> None:
    training = past.records("train")[0]
    url = str(past.store_folder)
    for name in (
        training.id,
        training.id[4:14],
        "pastshop@1",
        "pastshop@production",
        f"pastshop/model@{TRAIN_AT}",
        training.run,
    ):
        args = parser().parse_args(["reproduce", name, "--store", url])
        (found,) = _asked(args, past.store)
        assert (found.pipeline, found.record) == ("pastshop", training.id)
        assert (found.version == 1) == ("@" in name and "/" not in name)
    for name, what in (
        ("pastshop@9", "The newest is 1"),
        ("pastshop@staging", "Did you mean|Valid"),
        ("pastshops@1", "Did you mean 'pastshop'"),
        ("pastshop", "pastshop@12 or pastshop@production"),
        ("abc", "abc"),
        ("rec-0000000000", "rec-0000000000"),
    ):
        args = parser().parse_args(["reproduce", name, "--store", url])
        with pytest.raises(NotFoundError) as caught:
            _asked(args, past.store)
        assert re.search(what, str(caught.value)), str(caught.value)
