"""`dg scaffold defs mlpipe.PipelineComponent NAME`: the pipeline that `mlpipe init` would propose, in a project that is there."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from mlpipe.errors import MlpipeError
from mlpipe.orchestration.runtime import now

SKELETON = """\
# A pipeline to be filled in. With data at hand it is proposed: dg scaffold defs mlpipe.PipelineComponent {name} --data FILE --label COLUMN
type: {type}
attributes:
  name: {name}
  # every: hour, day, week, month, or none (then without 'start')
  partitions: {{every: day, start: "2024-01-01"}}
  source:
    # type: csv, parquet, jsonl, sql, load or upstream
    type: parquet
    path: "data/{{partition}}.parquet"
    event_time: at
    keys: [id]
  # available_after: how long after the row its label becomes known
  label: {{column: label, available_after: 0s}}
  features: [first, second]
  model: {{class: sklearn.ensemble.HistGradientBoostingClassifier}}
  gates:
    - beats_baseline: {{metric: roc_auc}}
"""


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` takes besides the name."""

    data: str | None = Field(
        default=None, description="the rows: a file, a folder, an http address, or URL#table"
    )
    label: str | None = Field(default=None, description="column that is to be predicted")
    time: str | None = Field(
        default=None, description="column with the moment that a row belongs to; default: guessed"
    )
    key: str | None = Field(default=None, description="columns that identify a row, separated by commas")
    at: str | None = Field(default=None, description="column with the moment of prediction")
    table: str | None = Field(default=None, description="table of a database, where the URL does not name it")


class PipelineScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes the `defs.yaml` of a pipeline: proposed from data, or to be filled in."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Model of the options."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file.

        Raises
        ------
        MlpipeError
            Of `data` and `label` only one was given; or as `mlpipe.scaffold.project.conclude`.
        """
        if request.scaffold_format != "yaml" or request.append:
            raise MlpipeError(
                "a pipeline is scaffolded as a defs.yaml of its own", fix="Leave --format and --append out."
            )
        given = request.params
        if (given.data is None) != (given.label is None):
            raise MlpipeError("--data and --label go together", fix="Give both, or neither for a skeleton.")
        folder = Path(request.target_path)
        text = (
            SKELETON.format(name=_name(folder), type=request.type_name)
            if given.data is None
            else _proposed(given, folder)
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "defs.yaml").write_text(text, encoding="utf-8")


def _name(folder: Path) -> str:
    from mlpipe.scaffold.project import checked_name

    return checked_name(folder.name)


def _proposed(given: ScaffoldParams, folder: Path) -> str:
    from mlpipe.scaffold.project import conclude, pipeline_text
    from mlpipe.scaffold.proposal import Asked

    keys = tuple(k.strip() for k in given.key.split(",")) if given.key else ()
    asked = Asked(_name(folder), str(given.label), given.time, keys, given.at)
    made: Any = conclude(asked, str(given.data), Path.cwd(), folder / "data", now(), given.table)
    if made.looked.secrets:
        names = " and ".join(name for name, _ in made.looked.secrets)
        raise MlpipeError(
            "the URL holds a password, which does not belong into a file",
            fix=f"Write the URL without it, or use mlpipe init, which puts it into the project's .env as {names}.",
        )
    return pipeline_text(made, folder, Path.cwd())
