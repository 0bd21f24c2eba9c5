"""The probe `resources`: how fast a model answers and how much it holds, in a process of its own.

What a clock gives is another number each time. It stands in the record, and is no part of any id, nor of the question whether a result
came out the same again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlpipe.records.record import MetricValue
from mlpipe.stages.dataset import model_frame
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.trial import first_line
from mlpipe.stores.agreement import MEASURED
from mlpipe.stores.bundles import dumps
from mlpipe.stores.tables import canonical, to_parquet
from mlpipe.stores.trusted import type_names

ENTRY = "mlpipe.stores.timed"
HIGHER = ("rows_per_s",)
SHOWN = ("p50_ms", "p95_ms", "p99_ms", "batch_p99_ms", "rows_per_s", "peak_mb", "bundle_mb", "load_ms")
"""Numbers that become keys of the record."""
LAST = 5
"""So many last lines of a process that failed are kept."""
OWN_FILES = "mlpipe_user_"
"""Names of modules that were loaded from a file beside a YAML begin so."""


def probe(subject: Subject) -> Probed:
    """Latency of a single row and of a batch, throughput, load time, size, and memory beyond that of the interpreter with its imports.

    A process that fails or takes too long gives the facts ``failed`` (one sentence) and ``last`` (its last lines), and no number.
    """
    spec = subject.spec
    _, data = dumps(subject.bundle, spec.model.trusted)
    size = len(data) / 1e6
    with TemporaryDirectory(prefix="mlpipe-timed-") as folder:
        _put(subject, data, Path(folder))
        found = _timed(Path(folder), spec.resources.timeout.total_seconds())
    if "failed" in found:
        facts = {**found, "bundle_mb": size}
        return Probed(facts, facts, notes=(f"resources were not measured: {found['failed']}",))
    facts = {k: round(v, 4) if isinstance(v, float) else v for k, v in {**found, "bundle_mb": size}.items()}
    metrics = tuple(
        MetricValue(
            name=n, value=float(facts[n]), better="higher" if n in HIGHER else "lower", split=MEASURED
        )
        for n in SHOWN
    )
    return Probed(facts, facts, metrics)


def _put(subject: Subject, data: bytes, folder: Path) -> None:
    spec, names = subject.spec, list(subject.bundle.feature_names)
    asked = spec.resources
    rows = model_frame(subject.rows, subject.bundle.features).head(max(asked.batch_rows, asked.calls))
    files = {
        name: str(module.__file__)
        for name, module in list(sys.modules.items())
        if name.startswith(OWN_FILES) and getattr(module, "__file__", None)
    }
    wanted = {
        "batch_rows": asked.batch_rows,
        "calls": asked.calls,
        "seconds": asked.seconds,
        "trusted": sorted(type_names(spec.model.trusted)),
        "modules": files,
    }
    (folder / "bundle.zip").write_bytes(data)
    (folder / "rows.parquet").write_bytes(to_parquet(canonical(rows[names])))
    (folder / "asked.json").write_text(json.dumps(wanted))


def _timed(folder: Path, timeout: float) -> dict[str, Any]:
    """What the process printed; or why there is nothing."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", ENTRY, str(folder)],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"the process took longer than {timeout:g} s (resources.timeout)", "last": []}
    except OSError as error:
        return {"failed": f"the process could not be started: {first_line(error)}", "last": []}
    last = [line[:300] for line in done.stderr.strip().splitlines()[-LAST:]]
    if done.returncode:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return {"failed": f"the process ended with {how}" + (f": {last[-1]}" if last else ""), "last": last}
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"failed": "the process printed no numbers", "last": last}
    return found
