"""What holds for every test: one thread, nothing of the user's own set-up, and how many random examples are drawn."""

import gc
import os
import signal
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from mlpipe_tests.prepared import dagster_prepared, databases_prepared

# Nothing above loads numpy, whose thread pools read this once, when they are made.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that reached the user's instance, store or deployment would write there.
for _name in ("DAGSTER_HOME", "MLPIPE_STORE", "MLPIPE_INDEX", "MLPIPE_DEPLOYMENT"):
    os.environ.pop(_name, None)

# A job in the background of a script starts with SIGINT ignored. Dagster makes SIGTERM follow it, and what it starts never ends then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

databases_prepared()

THOROUGH, FACTOR = "thorough", 10
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

# A deadline per example would measure the other work of the machine, so there is none.
settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    THOROUGH, max_examples=60 * FACTOR, deadline=None, suppress_health_check=_SLOW, print_blob=True
)
settings.load_profile("quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the thorough run, tests that name a number of examples draw more of them too."""
    if config.getoption("hypothesis_profile") != THOROUGH:
        return
    tests = {item.function for item in items if isinstance(item, pytest.Function)}
    for test in filter(is_hypothesis_test, tests):
        # Hypothesis has no public way to read or change what @settings left on a test; if this name
        # goes, the thorough run fails here rather than drawing few examples unnoticed.
        own = test._hypothesis_internal_use_settings
        if own.max_examples < 60 * FACTOR:
            test._hypothesis_internal_use_settings = settings(own, max_examples=own.max_examples * FACTOR)


def pytest_collection_finish() -> None:
    """What was imported stays to the end: it is no garbage, and to look through it again and again is a tenth of the work."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_runtest_setup() -> None:
    """Only where a test has imported Dagster, for that takes a second."""
    if "dagster" in sys.modules:
        dagster_prepared()


@pytest.fixture(scope="session")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A past with four candidates and a rollback, as a specification and a world; for reading only, but for cells of the matrix."""
    from mlpipe_tests.stages.candidates import lived

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        return lived(tmp_path_factory.mktemp("candidates"))
