"""What a record says about the code, the machine and the cost, captured without a line of the user's."""

import os
import platform
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from mlpipe.records.codec import digest
from mlpipe.records.machine import flags, gpus
from mlpipe.records.record import Cost, Environment

PACKAGES = (
    "mlpipe",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "skops",
    "great-expectations",
    "dagster",
    "torch",
    "lightgbm",
    "xgboost",
    "catboost",
)
RESULT_PACKAGES = (
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "torch",
    "lightgbm",
    "xgboost",
    "catboost",
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@lru_cache(maxsize=1)
def mlpipe_version() -> str:
    """Version of the installed mlpipe."""
    try:
        return metadata.version("mlpipe")
    except metadata.PackageNotFoundError:
        return "0+unknown"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """This process's environment. `id` covers what can change a result: packages, Python, CPU kind, BLAS kernel, threads.

    No environment variable enters but the thread counts, the image digest (`MLPIPE_IMAGE_DIGEST`) and `mlpipe.records.machine.FLAGS`.
    """
    packages = {name: v for name in PACKAGES if (v := _version(name))}
    threads = {name: os.environ.get(name, "") for name in THREADS}
    blas, found = _blas(), gpus()
    python = platform.python_version()
    decisive = {
        "packages": {n: packages[n] for n in RESULT_PACKAGES if n in packages},
        "python": python.rsplit(".", 1)[0],
        "machine": platform.machine(),
        "blas": blas,
        "threads": threads,
    }
    return Environment(
        id=digest(decisive),
        lock=digest(installed()),
        python=python,
        packages=packages,
        platform=platform.platform(),
        cpu=_cpu(),
        blas=blas,
        threads=threads,
        gpu=found.model,
        gpus=found.count,
        driver=found.driver,
        cuda=found.cuda,
        image=os.environ.get("MLPIPE_IMAGE_DIGEST", ""),
        host=socket.gethostname(),
    )


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Version of every installed distribution, by name."""
    return {d.metadata["Name"]: d.version for d in metadata.distributions()}


def environment_now(list_id: str = "") -> Environment:
    """`environment`, with the flags as they stand at this moment, and the content id of the list of what is installed."""
    return environment().model_copy(update={"flags": flags(), "installed": list_id})


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor()


def _blas() -> str:
    import numpy  # noqa: F401  (loads the BLAS that threadpoolctl then reports)
    from threadpoolctl import threadpool_info

    found = {
        f"{i['internal_api']} {i.get('version')} {i.get('architecture', '')}".strip()
        for i in threadpool_info()
        if i["user_api"] == "blas"
    }
    return ", ".join(sorted(found))


class Meter:
    """Cost of a stretch of work; read `cost` after it."""

    cost = Cost()


_BEFORE = [0.0]
"""Most memory held before the last stretch of work began, in MiB."""


def peak_mib() -> float:
    """Most memory that this process has held so far, in MiB."""
    return max(_BEFORE[0], _high_water())


def _high_water() -> float:
    """Most memory held since the process, or the last measured stretch of its work, began."""
    # Linux's getrusage counts what the parent held when it started this process; VmHWM begins anew with the program.
    with suppress(OSError), Path("/proc/self/status").open() as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _anew() -> None:
    """Let the kernel count the most memory held from now on. Where it cannot, a stretch is told the peak of the process."""
    _BEFORE[0] = peak_mib()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


@contextmanager
def metered(before: Cost | None = None) -> Iterator[Meter]:
    """Measure wall time, CPU time and peak memory of the body, and add them to what was measured before."""
    _anew()
    earlier = Cost() if before is None else before
    meter, wall, cpu = Meter(), time.perf_counter(), time.process_time()
    try:
        yield meter
    finally:
        meter.cost = Cost(
            wall_s=round(earlier.wall_s + time.perf_counter() - wall, 6),
            cpu_s=round(earlier.cpu_s + time.process_time() - cpu, 6),
            peak_mib=round(max(earlier.peak_mib, _high_water()), 1),
        )


@lru_cache(maxsize=64)
def commit(folder: str) -> str:
    """Git commit that a folder is at, with ``+changed`` when it holds uncommitted changes; empty without git."""
    try:
        run = ["git", "-C", folder]
        head = subprocess.run(
            [*run, "rev-parse", "HEAD"], check=False, capture_output=True, text=True, timeout=5
        )
        if head.returncode != 0:
            return ""
        dirty = subprocess.run(
            [*run, "status", "--porcelain", "--", "."],
            check=False,
            capture_output=True,
            text=True,
            timeout=5,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip() + ("+changed" if dirty.strip() else "")
