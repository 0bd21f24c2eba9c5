"""Processes that meet on one partition, that are killed, or whose reader has gone."""

import signal
import time

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


def test_two_people_who_promote_at_once(shop: Project) -> None:
    assert shop(*TRAIN).code == 0
    before = shop.decisions()
    both = [shop.start("promote", "shop", "2", "--reason", f"number {n}", "--override") for n in range(2)]
    told = [process.communicate(timeout=240) for process in both]
    codes = sorted(p.returncode for p in both)
    champion = "shop@2 is in production" in shop("history", "shop").out
    assert champion and not any("Traceback" in err for _, err in told)
    if before[-1] != "promote":
        assert codes in ([0, 1], [0, 7]) and len(shop.decisions()) == len(before) + 1, told
    else:
        assert codes == [1, 1] and shop.decisions() == before
    shop.sound()


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
