"""Processes that meet on one partition, that are killed, or whose reader has gone."""

import signal
import time

import pytest

from mlpipe_tests.refusals.conftest import NEXT, TRAINED
from mlpipe_tests.refusals.project import BEFORE, Project

TRAIN = ("run", "shop", "--from", TRAINED, "--train-at", NEXT, "--watch-to", TRAINED)
SLOW = """
import time


def features(frames, history):
    open("started", "w").close()
    time.sleep({seconds})
    return frames["rows"][["size", "region"]]
"""


def test_two_processes_on_one_partition_come_to_one_model_and_one_decision(shop: Project) -> None:
    """Both do the same work; what they make has one name, and of their decisions the second finds the first."""
    both = [shop.start(*TRAIN) for _ in range(2)]
    told = [process.communicate(timeout=240) for process in both]
    assert [p.returncode for p in both] == [0, 0], told
    assert not any("Traceback" in err for _, err in told)
    decisions = shop.decisions()
    assert decisions[:2] == BEFORE and decisions.count("register") == 2, decisions
    ids = {r.outputs[0].id for r in shop.all_records("model") if r.partition == NEXT}
    assert len(ids) == 1
    shop.sound()
    # And two people who promote at once: one of them does.
    champion, other = (2, 1) if decisions[-1] == "promote" else (1, 2)
    both = [shop.start("promote", "shop", str(other), "--reason", f"{n}", "--override") for n in range(2)]
    told = [process.communicate(timeout=240) for process in both]
    assert sorted(p.returncode for p in both) in ([0, 1], [0, 7]), told
    assert any(f"shop@{champion} was in production; shop@{other} is now." in out for out, _ in told)
    assert shop.decisions() == [*decisions, "override"] and not any("Traceback" in err for _, err in told)
    shop.sound()


@pytest.mark.long
def test_a_run_that_is_killed_leaves_nothing_half_written_and_goes_on(shop: Project) -> None:
    for how, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        shop.declare(SLOW.format(seconds=60), features="features")
        process = shop.start("run", "shop", "--from", NEXT)
        started = shop.folder / "started"
        until = time.monotonic() + 120
        while not started.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code and "Traceback" not in err, err
        assert how != signal.SIGINT or "interrupted; what was recorded stays" in err
        started.unlink()
        shop.sound()
        assert NEXT in shop.verdicts("validated") and NEXT not in shop.verdicts("features")
    shop.declare(SLOW.format(seconds=0), features="features")
    assert shop("run", "shop", "--from", NEXT).code == 0 and shop.verdicts("predictions")[NEXT] == "pass"
    assert shop.decisions() == BEFORE
    shop.sound()
