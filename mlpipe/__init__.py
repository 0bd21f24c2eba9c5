"""mlpipe: the machine-learning lifecycle as one Dagster asset graph, in which every materialization is the experiment record."""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "CSV": ("mlpipe.spec.drafts", "CSV"),
    "Column": ("mlpipe.spec.drafts", "ColumnDoor"),
    "Contract": ("mlpipe.spec.drafts", "ContractDoor"),
    "Label": ("mlpipe.spec.drafts", "LabelDoor"),
    "Load": ("mlpipe.spec.drafts", "Load"),
    "Parquet": ("mlpipe.spec.drafts", "Parquet"),
    "Pipeline": ("mlpipe.pipeline", "Pipeline"),
    "PipelineComponent": ("mlpipe.orchestration.component", "PipelineComponent"),
    "Retrain": ("mlpipe.spec.drafts", "RetrainDoor"),
    "SQL": ("mlpipe.spec.drafts", "SQL"),
    "Split": ("mlpipe.spec.drafts", "SplitDoor"),
    "Upstream": ("mlpipe.spec.drafts", "Upstream"),
    "daily": ("mlpipe.spec.drafts", "daily"),
    "gate": ("mlpipe.spec.drafts", "gate"),
    "hourly": ("mlpipe.spec.drafts", "hourly"),
    "load": ("mlpipe.orchestration.notebook", "load"),
    "monthly": ("mlpipe.spec.drafts", "monthly"),
    "runs": ("mlpipe.orchestration.notebook", "runs"),
    "unpartitioned": ("mlpipe.spec.drafts", "unpartitioned"),
    "weekly": ("mlpipe.spec.drafts", "weekly"),
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mlpipe' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
