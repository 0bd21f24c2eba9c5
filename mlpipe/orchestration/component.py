"""The YAML door: `type: mlpipe.PipelineComponent` in a `defs.yaml`, and the two points where a subclass may step in."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field, create_model

from mlpipe.errors import SpecError
from mlpipe.orchestration.causes import first_line
from mlpipe.orchestration.definitions import definitions_of
from mlpipe.orchestration.scaffolder import PipelineScaffolder
from mlpipe.orchestration.templates import filled, is_template, spelled
from mlpipe.records.record import Record
from mlpipe.spec.build import ALIASES
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.yaml_file import Lines, build_mapping, decoded, read
from mlpipe.stages.context import Context
from mlpipe.stages.runner import Stage, run_stage

DEPLOYMENT = "MLPIPE_DEPLOYMENT"
FILE = "defs.yaml"
HIDDEN = {"base_dir", "where"}
SCALARS = (str, int, float, bool)
TYPELESS = {"params", "options", "allowed", "kwargs", "gates", "threshold", "positive"}
"""Keys whose values have no type of their own: there a template's number is a number."""


def _attributes() -> type[BaseModel]:
    """Model of the YAML attributes for editors and `dg`: every key, any value. mlpipe checks them itself, all at once."""
    fields: dict[str, Any] = {
        n: (Any, Field(default=None, description=f.description))
        for n, f in PipelineSpec.model_fields.items()
        if n not in HIDDEN
    }
    fields |= {n: (Any, Field(default=None, description=f"stands for {t}")) for n, t in ALIASES.items()}
    fields["overlays"] = (
        Any,
        Field(default=None, description="settings that replace these in dev, stage or prod"),
    )
    return create_model("PipelineAttributes", __config__=ConfigDict(extra="allow"), **fields)


PipelineAttributes = _attributes()


@dg.scaffold_with(PipelineScaffolder)
class PipelineComponent(dg.Component):
    """The machine-learning lifecycle of one pipeline: ingest, validate, feature, train, evaluate, register, monitor.

    A subclass may override `get_asset_spec` (how an asset shows) and `execute` (what runs around a stage):

    >>> import dagster as dg, mlpipe
    >>> class Audited(mlpipe.PipelineComponent):
    ...     def get_asset_spec(self, name: str, spec: dg.AssetSpec) -> dg.AssetSpec:
    ...         return spec.merge_attributes(tags={"audited": "yes"})
    ...
    ...     def execute(self, spec, stage, keys, ctx):
    ...         ctx.log(f"auditing {stage.name}")
    ...         yield from super().execute(spec, stage, keys, ctx)
    """

    def __init__(self, spec: PipelineSpec) -> None:
        self.spec = spec

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What the component is, for `dg list components`."""
        return dg.ComponentTypeSpec(
            description="A machine-learning pipeline as one asset graph, in which every materialization is the experiment record.",
            tags=["machine-learning"],
        )

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Model of the attributes."""
        return PipelineAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """The component of a YAML file.

        Raises
        ------
        SpecError
            With every mistake: file and line, key, what is wrong, the valid values.
        """
        given = {} if attributes is None else attributes.model_dump(exclude_unset=True)
        settings, lines, file = _written(given, context)
        spec = build_mapping(
            templated(settings, context.resolution_context.scope, lines, file),
            lines,
            file=file,
            prefix=("attributes",),
            deployment=os.environ.get(DEPLOYMENT),
            base_dir=Path(context.path),
        )
        return cls(spec)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, jobs and schedule."""
        return definitions_of(self.spec, execute=self.execute, dress=self.get_asset_spec)

    def get_asset_spec(self, name: str, spec: dg.AssetSpec) -> dg.AssetSpec:
        """How an asset shows in Dagster; `name` is the asset's last part, such as ``model``. Override to change it."""
        return spec

    def execute(
        self, spec: PipelineSpec, stage: Stage, keys: Sequence[str], ctx: Context
    ) -> Iterator[Record]:
        """Run a stage for some partitions. Override to do something around it."""
        yield from run_stage(stage, spec, keys, ctx)


def _written(given: dict[str, Any], context: dg.ComponentLoadContext) -> tuple[dict[str, Any], Lines, str]:
    """The attributes as they stand in the file (Dagster's reader has turned dates into objects), with their lines."""
    path = Path(context.path) / FILE
    if not path.is_file():
        return given, {}, str(context.path)
    file = str(path)
    for document, lines in read(decoded(path.read_bytes(), file), file):
        attributes = document.get("attributes") if isinstance(document, dict) else None
        if (
            isinstance(attributes, dict)
            and attributes.get("name") == given.get("name")
            and set(attributes) == set(given)
        ):
            return attributes, lines, file
    return given, {}, file


def templated(
    value: Any, scope: Mapping[str, Any], lines: Lines, file: str, path: tuple[str | int, ...] = ()
) -> Any:
    """Values with `{{ … }}` filled in; all others as they were written, so that "1" stays text."""
    if isinstance(value, dict):
        return {k: templated(v, scope, lines, file, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [templated(v, scope, lines, file, (*path, i)) for i, v in enumerate(value)]
    if not isinstance(value, str) or not is_template(value):
        return value
    try:
        native = filled(value, scope)
        # Dagster's template turns the text "42" into a number. Where a key has a type, the text is right: it is read by that type.
        if native is None or not isinstance(native, SCALARS) or not TYPELESS.isdisjoint(path):
            return native
        return spelled(value, scope)
    except Exception as error:  # whatever the template's own functions raise
        line = lines.get(("attributes", *path))
        raise SpecError(
            f"{value!r} cannot be filled in: {first_line(error)}",
            where=f"{file}:{line}, key {'.'.join(map(str, path))}" if line else file,
            fix="Write {{ env.NAME }} for an environment variable, or {{ env('NAME', 'default') }}.",
        ) from error
