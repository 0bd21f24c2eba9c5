"""The machine that did the work, and the settings that make its results repeatable: GPUs, their driver, flags."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache

FLAGS = ("PYTHONHASHSEED", "CUBLAS_WORKSPACE_CONFIG", "TF_DETERMINISTIC_OPS", "NVIDIA_TF32_OVERRIDE")
"""Environment variables that decide whether a result can be repeated; no others are read."""
TIMEOUT = 5.0
"""Seconds that the driver may take to answer; a driver that hangs holds up no training."""


@dataclass(frozen=True)
class Gpus:
    """The graphics processors of a machine: their model (several, separated by commas), how many, driver and CUDA version."""

    model: str = ""
    count: int = 0
    driver: str = ""
    cuda: str = ""


@lru_cache(maxsize=1)
def gpus() -> Gpus:
    """What ``nvidia-smi`` says, asked once a process; nothing where it is not installed, fails or takes too long."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return Gpus()
    try:
        asked = subprocess.run(
            [command, "-q"], check=False, capture_output=True, text=True, errors="replace", timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return Gpus()
    return parsed(asked.stdout) if asked.returncode == 0 else Gpus()


def parsed(text: str) -> Gpus:
    """GPUs in the answer of ``nvidia-smi -q``: lines of names and values."""

    def values(name: str) -> list[str]:
        return [v.strip() for v in re.findall(rf"^\s*{name}\s*:\s*(.+)$", text, re.MULTILINE)]

    models = values("Product Name")
    first = {name: (values(name) or [""])[0] for name in ("Driver Version", "CUDA Version")}
    return Gpus(", ".join(dict.fromkeys(models)), len(models), first["Driver Version"], first["CUDA Version"])


def flags() -> dict[str, str]:
    """Settings that make results repeatable, as they stand now: variables that are set, and PyTorch's own once it is imported."""
    found = {name: os.environ[name] for name in FLAGS if name in os.environ}
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "are_deterministic_algorithms_enabled"):
        found["torch.deterministic"] = str(torch.are_deterministic_algorithms_enabled())
        cudnn = torch.backends.cudnn
        found["torch.cudnn.deterministic"] = str(cudnn.deterministic)
        found["torch.cudnn.benchmark"] = str(cudnn.benchmark)
    return found
