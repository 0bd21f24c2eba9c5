"""Great Expectations' Data Docs of one partition: its raw rows against the suite that the contract compiles to, as a folder of pages.

What mlpipe asks beside Great Expectations (rows outside the partition, unreadable cells, freshness) is in the record of the partition, not
on these pages. They load their styles and scripts from the network.
"""

import html
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.cleaning import formed
from mlpipe.stages.expectations import imported
from mlpipe.stages.suite import compile_suite
from mlpipe.stores.store import Store

SITE = "gx/uncommitted/data_docs/local_site"
"""Where Great Expectations builds its pages in a project."""


def rows_of(spec: PipelineSpec, store: Store, raw: Record) -> dict[str, pd.DataFrame]:
    """Rows of each source of a partition in their declared form, as the contract sees them. `raw` is the record of ingest."""
    known = {o.name: o.id for o in raw.outputs}
    return {
        name: formed(store.get_table(known[name]), source, spec.partitions).shown.reset_index(drop=True)
        for name, source in spec.sources.items()
        if name in known
    }


def write(
    spec: PipelineSpec, partition: str, rows: Mapping[str, pd.DataFrame], folder: Path
) -> dict[str, bool]:
    """Write the pages into a folder that is not there yet, or is empty; whether each source keeps its suite.

    Sources whose contract asks for nothing are left out.

    Raises
    ------
    MlpipeError
        There is something in the folder, or it cannot be written.
    NotFoundError
        No contract asks for anything.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MlpipeError(
            "there is something already, and nothing is written over",
            where=str(folder),
            fix="Name a new folder.",
        )
    rules = {
        name: compile_suite(s.contract, s.keys, spec.base_dir, name=name).rules
        for name, s in spec.sources.items()
    }
    asked = {name: frame for name, frame in rows.items() if rules[name]}
    if not asked:
        raise NotFoundError(
            f"no contract of {spec.name} asks for anything",
            where=partition,
            fix="Declare one: 'contract' of a source.",
        )
    imported()
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    kept: dict[str, bool] = {}
    with tempfile.TemporaryDirectory(prefix="mlpipe-docs-") as project, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = gx.get_context(mode="file", project_root_dir=project)
        context.enable_analytics(False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        source = context.data_sources.add_pandas(spec.name)
        for name, frame in asked.items():
            suite = gx.ExpectationSuite(name=name, expectations=[r.expectation for r in rules[name]])
            # Pages are called after the asset, so the partition has to be in its name.
            asset = re.sub(r"[^\w.-]", "_", f"{name}_{partition}")
            batch = source.add_dataframe_asset(asset).add_batch_definition_whole_dataframe(partition)
            asked_of = gx.ValidationDefinition(name=name, data=batch, suite=context.suites.add(suite))
            found = context.validation_definitions.add(asked_of).run(
                batch_parameters={"dataframe": frame}, result_format="SUMMARY"
            )
            kept[name] = bool(found.success)
        _harmless(Path(project))
        context.build_data_docs()
        try:
            shutil.copytree(Path(project) / SITE, folder, dirs_exist_ok=True)
        except OSError as error:
            raise MlpipeError(
                f"the pages cannot be written: {error.strerror or type(error).__name__}",
                where=str(folder),
                fix="Name a folder that can be made.",
            ) from None
    return kept


def _harmless(project: Path) -> None:
    """Escape what stands in expectations and results: Great Expectations writes values of cells into its pages as they are."""
    for file in project.rglob("*.json"):
        text = file.read_text(encoding="utf-8")
        file.write_text(html.escape(text, quote=False), encoding="utf-8")
