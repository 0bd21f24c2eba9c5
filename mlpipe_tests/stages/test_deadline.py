"""The limit on a user's code: what it interrupts, and what it leaves alone."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from types import FrameType

import pytest

from mlpipe.stages import deadline as module
from mlpipe.stages.deadline import TooSlowError, deadline

SHORT = timedelta(seconds=0.2)


def limited(body: Callable[[], object]) -> None:
    with deadline(SHORT, "the load", "here"):
        body()


def loop() -> None:
    while True:
        pass


def receive() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.recv(1)


WAITS: dict[str, Callable[[], object]] = {
    "loop": loop,
    "sleep": lambda: time.sleep(60),
    "network": receive,
    "process": lambda: subprocess.run(["sleep", "60"], check=False),
    "event": lambda: threading.Event().wait(60),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_whatever_never_ends_is_interrupted_where_it_waits(wait: Callable[[], object]) -> None:
    start = time.monotonic()
    with pytest.raises(TooSlowError, match=r"^here: the load took longer than 0\.2 s\n"):
        limited(wait)
    assert time.monotonic() - start < 20


def test_what_catches_the_interruption_is_interrupted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.1)
    rounds = []

    def stubborn() -> None:
        for n in range(2):
            rounds.append(n)
            with suppress(BaseException):
                loop()
        loop()

    with pytest.raises(TooSlowError):
        limited(stubborn)
    assert rounds == [0, 1]


def test_another_thread_than_the_main_one_is_interrupted_too() -> None:
    told: list[str] = []

    def work() -> None:
        try:
            with deadline(SHORT, "the load"):
                loop()
        except TooSlowError as error:
            told.append(error.what)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert told == ["the load took longer than 0.2 s"]


def test_what_ends_in_time_is_left_alone_and_so_is_whatever_comes_next() -> None:
    """Also when the limit falls on the very end."""
    for n in range(60):
        with suppress(TooSlowError), deadline(timedelta(seconds=0.004), "the load"):
            time.sleep(0.0035 + n % 5 * 0.0003)
        time.sleep(0.001)
    with deadline(None, "the load"):
        time.sleep(0.01)


@pytest.fixture
def alarms() -> Iterator[list[int]]:
    """What somebody else's handler of SIGALRM hears."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGALRM, hear)
    yield heard
    signal.signal(signal.SIGALRM, before)


def test_who_else_uses_the_signal_hears_of_his_own_alone(alarms: list[int]) -> None:
    mine = signal.getsignal(signal.SIGALRM)

    def body() -> None:
        signal.raise_signal(signal.SIGALRM)
        time.sleep(60)

    with pytest.raises(TooSlowError):
        limited(body)
    assert alarms == [signal.SIGALRM]
    assert signal.getsignal(signal.SIGALRM) is mine


def test_an_error_of_the_body_stays_what_it_is() -> None:
    with pytest.raises(KeyError, match="mine"), deadline(SHORT, "the load"):
        raise KeyError("mine")
