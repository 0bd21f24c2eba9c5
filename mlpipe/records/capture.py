"""What a record says about the code, the machine and the cost, captured without a line of the user's."""

import hashlib
import io
import os
import platform
import resource
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from mlpipe.records.codec import digest
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
SKIPPED = {".venv", "venv", "node_modules", "__pycache__", "build", "dist", "site-packages"}
ARCHIVE_LIMIT = 8 * 2**20


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

    No environment variable enters but the thread counts and the image digest (`MLPIPE_IMAGE_DIGEST`).
    """
    packages = {name: v for name in PACKAGES if (v := _version(name))}
    threads = {name: os.environ.get(name, "") for name in THREADS}
    blas = _blas()
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
        lock=digest({d.metadata["Name"]: d.version for d in metadata.distributions()}),
        python=python,
        packages=packages,
        platform=platform.platform(),
        cpu=_cpu(),
        blas=blas,
        threads=threads,
        image=os.environ.get("MLPIPE_IMAGE_DIGEST", ""),
        host=socket.gethostname(),
    )


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


def peak_mib() -> float:
    """Most memory that this process has held so far, in MiB."""
    # Linux's getrusage counts what the parent held when it started this process; VmHWM begins anew with the program.
    with suppress(OSError), Path("/proc/self/status").open() as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    scale = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


@contextmanager
def metered() -> Iterator[Meter]:
    """Measure wall time, CPU time and peak memory of the body."""
    meter, wall, cpu = Meter(), time.perf_counter(), time.process_time()
    try:
        yield meter
    finally:
        meter.cost = Cost(
            wall_s=round(time.perf_counter() - wall, 6),
            cpu_s=round(time.process_time() - cpu, 6),
            peak_mib=round(peak_mib(), 1),
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


def archive(folder: Path) -> bytes:
    """Zip of a project's importable files (``.py`` and ``.yaml``), the same bytes for the same files.

    Hidden folders, environments, links and files over 1 MiB are left out; past 8 MiB in all the largest are left out too.
    """
    files: list[tuple[str, bytes]] = []
    for place, folders, names in os.walk(folder):
        # Pruned, not filtered: an environment holds more files than all projects.
        folders[:] = [f for f in folders if _shown(f) and not (Path(place) / f).is_symlink()]
        for path in (Path(place) / name for name in names if _shown(name)):
            if path.suffix not in (".py", ".yaml", ".yml") or path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size <= 2**20:
                files.append((path.relative_to(folder).as_posix(), path.read_bytes()))
    files.sort()
    while sum(len(data) for _, data in files) > ARCHIVE_LIMIT:
        files.remove(max(files, key=lambda f: len(f[1])))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in files:
            bundle.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def _shown(name: str) -> bool:
    return name not in SKIPPED and not name.startswith(".")


def archive_id(data: bytes) -> str:
    """Content id of an archive."""
    return "code-" + hashlib.blake2b(data, digest_size=20).hexdigest()
