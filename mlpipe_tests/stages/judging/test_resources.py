"""Speed and size, measured elsewhere: the numbers are those of a process, and a failing one is a fact."""

from datetime import timedelta

import numpy as np
import pandas as pd

from mlpipe.spec.probing import Resources
from mlpipe.stages.judging.resources import probe
from mlpipe.stores.agreement import MEASURED
from mlpipe.stores.timed import calls, memory
from mlpipe_tests.stages.judging.heavy import Heavy
from mlpipe_tests.stages.judging.subjects import settings, subject_of
from mlpipe_tests.stores.models import bundle_of

TRUSTED = {"model": type("Model", (), {"trusted": (f"{Heavy.__module__}.Heavy",)})()}
FRAME = pd.DataFrame({"a": np.arange(50.0)})


def measured(model, **asked):
    quick = Resources(**{"calls": 6, "seconds": 0.05, "batch_rows": 20, **asked})
    bundle = bundle_of(model, FRAME)
    return probe(subject_of(bundle, FRAME, FRAME["a"] > 25, spec={**TRUSTED, "resources": quick}))


def test_a_slow_and_heavy_model_is_found_to_be_so():
    found = measured(Heavy(seconds=0.05, megabytes=300))
    facts = found.facts
    assert 50 <= facts["p50_ms"] <= facts["p95_ms"] <= facts["p99_ms"] < 2000
    assert 300 <= facts["peak_mb"] < 500 and facts["process_mb"] > facts["peak_mb"] + 30
    assert facts["batch_rows"] == 20 and facts["calls"] >= 5 and facts["batches"] >= 5
    assert 0 < facts["rows_per_s"] <= 20 / 0.05 and facts["load_ms"] > 0 and 0 < facts["bundle_mb"] < 1
    assert {m.name: m.value for m in found.metrics}["p99_ms"] == facts["p99_ms"]
    assert {m.split for m in found.metrics} == {MEASURED}


def test_a_process_that_dies_or_lingers_is_a_fact_with_its_last_lines():
    died = measured(Heavy(dies=True))
    assert "exit code 3" in died.facts["failed"] and died.facts["last"] == ["out of luck"]
    assert "p99_ms" not in died.facts and not died.metrics and "not measured" in died.notes[0]
    slow = settings(
        **TRUSTED,
        resources=Resources.model_construct(
            calls=6, seconds=0.05, batch_rows=20, timeout=timedelta(seconds=0.2)
        ),
    )
    bundle = bundle_of(Heavy(), FRAME)
    late = probe(subject_of(bundle, FRAME, FRAME["a"] > 25, spec=vars(slow)))
    assert "longer than 0.2 s" in late.facts["failed"]


def test_calls_are_counted_and_at_least_five():
    asked = []
    assert len(calls(asked.append, 8, 60.0)) == 8 and asked == list(range(9))
    assert len(calls(asked.append, 8, 0.0)) == 5
    assert memory("VmHWM") >= memory("VmRSS") > 10
