"""A pipeline from the archive of its code: declared in Python or in YAML, found by its name among unpacked files."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from mlpipe.errors import Finding, NotFoundError, SpecError
from mlpipe.orchestration.causes import cause, first_line, place
from mlpipe.orchestration.component import FILE, templated
from mlpipe.orchestration.definitions import PIPELINES
from mlpipe.records.unpacked import Unpacked
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.yaml_file import build_mapping, decoded, read
from mlpipe.stages.trial import Kept

DECLARES = (b"Pipeline(", b".definitions(")
"""What a module that declares a pipeline holds."""
TESTS = ("test_", "conftest")


def spec_at(code: Unpacked, name: str, deployment: str | None = None) -> PipelineSpec:
    """The specification of a pipeline in an unpacked archive. Its folders are put before all others that modules are imported from.

    Parameters
    ----------
    deployment
        Whose overlay is applied to a declaration in YAML; one in Python reads ``MLPIPE_DEPLOYMENT`` itself.

    Raises
    ------
    NotFoundError
        When no file of the archive declares it, or those that may do not load: each is named.
    """
    sys.path[:0] = [str(root) for root in code.roots]
    importlib.invalidate_caches()
    for file in sorted(code.base.rglob(FILE)):
        for document, lines in read(decoded(file.read_bytes(), str(file)), str(file)):
            attributes = document.get("attributes") if isinstance(document, dict) else None
            if isinstance(attributes, dict) and attributes.get("name") == name:
                return _of_yaml(attributes, lines, file, deployment)
    failed: list[Finding] = []
    tried = list(_candidates(code, name))
    for module, file in tried:
        found = _imported(module, file, name, failed)
        if found is not None:
            return found
    raise NotFoundError(
        f"the archive of the code does not declare the pipeline {name!r}"
        if not failed
        else f"the archive of the code does not load, so that the pipeline {name!r} cannot be had from it",
        where=f"{len(tried)} modules that may declare it" if tried else "no module may declare it",
        findings=failed,
        fix="The archive holds the .py and .yaml files of the pipeline's folder as it was. What lay outside of it must be installed here.",
    )


def _of_yaml(attributes: dict[str, Any], lines: Any, file: Path, deployment: str | None) -> PipelineSpec:
    scope = dg.ResolutionContext.default().scope
    return build_mapping(
        templated(attributes, scope, lines, str(file)),
        lines,
        file=str(file),
        prefix=("attributes",),
        deployment=deployment,
        base_dir=file.parent,
    )


def _candidates(code: Unpacked, name: str) -> Iterator[tuple[str, Path]]:
    """Modules that may declare a pipeline, the likeliest first: by dotted name, with their file."""
    found = []
    for file in sorted(code.folder.rglob("*.py")):
        text = file.read_bytes()
        if file.name.startswith(TESTS) or not any(mark in text for mark in DECLARES):
            continue
        near, named = file.is_relative_to(code.base), f'"{name}"'.encode() in text
        found.append((not near, not named, DECLARES[0] not in text, file))
    for *_, file in sorted(found):
        root = next((r for r in code.roots if file.is_relative_to(r) and _importable(file, r)), file.parent)
        parts = file.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def _importable(file: Path, root: Path) -> bool:
    return all(part.isidentifier() for part in file.relative_to(root).with_suffix("").parts)


def _imported(module: str, file: Path, name: str, failed: list[Finding]) -> PipelineSpec | None:
    """The pipeline, once a module is loaded; None when that does not declare it, or does not load."""
    if str(file.parent) not in sys.path and "." not in module:
        sys.path.append(str(file.parent))
    loaded: Any = None
    with Kept() as kept:
        loaded = importlib.import_module(module)
    if kept.error is not None:
        known = cause(kept.error)
        text, where = (known.what, known.where) if known else (first_line(kept.error), place(kept.error))
        failed.append(Finding(f"{module} does not load: {text}", where))
        return None
    if name in PIPELINES:
        return PIPELINES[name]
    declared = [getattr(v, "spec", None) for v in vars(loaded).values() if not isinstance(v, type)]
    own = [s for s in declared if isinstance(s, PipelineSpec) and s.name == name]
    for value in vars(loaded).values() if not own else ():
        # What `@dg.definitions` makes: called, it declares its pipelines.
        if type(value).__name__ == "LazyDefinitions":
            try:
                value()
            except (dg.DagsterError, SpecError) as error:
                failed.append(Finding(f"{module} does not load: {first_line(error)}", str(file)))
    return own[0] if own else PIPELINES.get(name)
