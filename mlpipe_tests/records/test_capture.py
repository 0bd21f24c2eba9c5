"""What a record says of code, machine and cost: nothing secret, and the same for the same."""

import os
import re
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from mlpipe.records.capture import commit, environment, environment_now, installed, metered, peak_mib
from mlpipe.records.machine import flags, gpus, parsed


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts the peak of a stretch of work")
def test_each_stretch_of_work_has_a_peak_of_its_own() -> None:
    with metered() as large:
        held = bytearray(200 * 2**20)
        held[::4096] = b"x" * len(held[::4096])
        del held
    with metered() as small:
        pass
    assert large.cost.peak_mib > small.cost.peak_mib + 150
    assert peak_mib() >= large.cost.peak_mib
    with metered(large.cost) as both:
        pass
    assert both.cost.peak_mib == large.cost.peak_mib and both.cost.wall_s >= large.cost.wall_s


ANSWER = """
==============NVSMI LOG==============

Timestamp                                 : Wed Mar  6 10:00:00 2024
Driver Version                            : 535.104.05
CUDA Version                              : 12.2

Attached GPUs                             : 2
GPU 00000000:01:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    Product Brand                         : NVIDIA
GPU 00000000:02:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
"""


def test_graphics_processors_are_read_from_what_the_driver_says() -> None:
    found = parsed(ANSWER)
    assert (found.model, found.count) == ("NVIDIA H100 80GB HBM3", 2)
    assert (found.driver, found.cuda) == ("535.104.05", "12.2")
    assert parsed("").count == 0


@pytest.mark.parametrize(
    ("script", "count"),
    [
        (f"cat <<'E'\n{ANSWER}\nE\n", 2),
        ("exit 9", 0),
        ("exec sleep 30", 0),
        (f"cat <<'E'\n{ANSWER}\nE\nexit 6", 0),
    ],
)
def test_the_driver_is_asked_once_and_may_fail_or_hang(
    script: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\n{script}")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("mlpipe.records.machine.TIMEOUT", 0.5)
    environment.cache_clear()
    gpus.cache_clear()
    try:
        found = environment()
        environment.cache_clear()
        assert environment() == found
    finally:
        environment.cache_clear()
        gpus.cache_clear()
    assert found.gpus == count and (tmp_path / "asked").read_text() == "asked\n"
    assert (found.cuda, found.driver) == (("12.2", "535.104.05") if count else ("", ""))


def test_flags_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert environment_now().flags["PYTHONHASHSEED"] == "7" and "torch.deterministic" not in flags()
    cudnn = types.SimpleNamespace(deterministic=True, benchmark=False)
    torch = types.SimpleNamespace(
        are_deterministic_algorithms_enabled=lambda: True, backends=types.SimpleNamespace(cudnn=cudnn)
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.delenv("PYTHONHASHSEED")
    found = environment_now("report-1")
    assert found.installed == "report-1" and "PYTHONHASHSEED" not in found.flags
    assert found.flags["torch.deterministic"] == "True"
    assert (found.flags["torch.cudnn.deterministic"], found.flags["torch.cudnn.benchmark"]) == (
        "True",
        "False",
    )
    assert found.id == environment().id


def test_everything_that_is_installed_is_listed() -> None:
    assert installed()["numpy"] == environment().packages["numpy"] and len(installed()) > 50
