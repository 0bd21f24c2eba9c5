"""What a record says of code, machine and cost: nothing secret, and the same for the same."""

import io
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from mlpipe.records.capture import ARCHIVE_LIMIT, archive, archive_id, commit, environment, metered, peak_mib


def test_no_variable_of_the_environment_enters_but_those_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_IMAGE_DIGEST", "sha256:feed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    secrets = {f"MLPIPE_SECRET_{i}": f"hush-{i}-{'z' * 8}" for i in range(3)}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    environment.cache_clear()
    try:
        found = environment()
    finally:
        environment.cache_clear()
    text = found.model_dump_json()
    assert not any(name in text or value in text for name, value in secrets.items())
    allowed = {*found.packages.values(), *found.threads.values(), found.image, found.host, found.python}
    long = {v for k, v in os.environ.items() if len(v) > 11 and v not in allowed and v != found.host}
    assert not [v for v in long if v in text]
    assert found.image == "sha256:feed" and found.threads["OMP_NUM_THREADS"] == "1"
    assert re.fullmatch(r"[0-9a-f]{40}", found.id) and found.packages["numpy"]


def test_threads_decide_the_environment_and_the_image_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(**variables: str) -> str:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        environment.cache_clear()
        return environment().id

    try:
        assert of(OMP_NUM_THREADS="1") == of(MLPIPE_IMAGE_DIGEST="x") != of(OMP_NUM_THREADS="2")
    finally:
        environment.cache_clear()


def project(folder: Path) -> Path:
    (folder / "package" / "deep").mkdir(parents=True)
    (folder / "package" / "a.py").write_text("A = 1")
    (folder / "package" / "deep" / "b.yaml").write_text("b: 1")
    (folder / "notes.txt").write_text("no code")
    (folder / "big.py").write_text("#" * (2**20 + 1))
    for hidden in (".venv", ".git", "venv", "node_modules", "__pycache__", "package/.cache", "build"):
        (folder / hidden).mkdir(parents=True)
        (folder / hidden / "c.py").write_text("secret")
    (folder / ".env.py").write_text("secret")
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "d.py").write_text("secret")
    (folder / "linked").symlink_to(outside)
    (folder / "link.py").symlink_to(outside / "d.py")
    return folder


def test_an_archive_holds_the_projects_code_and_nothing_hidden(tmp_path: Path) -> None:
    data = archive(project(tmp_path / "project"))
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert bundle.namelist() == ["package/a.py", "package/deep/b.yaml"]
        assert bundle.read("package/a.py") == b"A = 1"
    assert b"secret" not in data


def test_an_archive_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    first, second = (project(tmp_path / n / "project") for n in ("one", "two"))
    os.utime(second / "package" / "a.py", (1, 1))
    assert archive(first) == archive(second)
    assert archive_id(archive(first)) == archive_id(archive(second))
    (second / "package" / "a.py").write_text("A = 2")
    assert archive_id(archive(first)) != archive_id(archive(second))


def test_an_archive_has_a_limit(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"m{i:02}.py").write_text("#" * (2**20 - i))
    data = archive(tmp_path)
    assert len(data) < ARCHIVE_LIMIT + 10_000
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        assert bundle.namelist() == [f"m{i:02}.py" for i in range(4, 12)]


def test_a_commit_says_when_the_folder_was_changed(tmp_path: Path) -> None:
    assert commit(str(tmp_path)) == ""
    repository = tmp_path / "repository"
    repository.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}", commit(str(repository)))
    (repository / "a.py").write_text("")
    commit.cache_clear()
    assert commit(str(repository)).endswith("+changed")


def test_cost_is_measured_also_of_work_that_fails() -> None:
    meters = []

    def failing() -> None:
        with metered() as meter:
            meters.append(meter)
            time.sleep(0.02)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failing()
    cost = meters[0].cost
    assert cost.wall_s >= 0.02 and cost.cpu_s < cost.wall_s + 1 and cost.peak_mib > 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process inherit its parent's peak")
def test_the_peak_is_that_of_this_process_not_of_the_one_that_started_it() -> None:
    held = bytearray(int((peak_mib() + 300) * 2**20))
    told = subprocess.run(
        [sys.executable, "-c", "from mlpipe.records.capture import peak_mib; print(peak_mib())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert float(told) < len(held) / 2**20 - 200
    assert peak_mib() >= len(held) / 2**20
