"""The YAML door, as a user's project uses it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.errors import SpecError
from mlpipe.orchestration.causes import cause
from mlpipe.orchestration.definitions import PIPELINES
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.locate import definitions_at
from mlpipe.orchestration.runs import Request, run
from mlpipe.orchestration.runtime import open_store, store_url
from mlpipe_tests.house import ROOT

PYPROJECT = """\
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{name}"
code_location_name = "{name}"
"""
DEFINITIONS = """\
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
FUNCTIONS = """\
from mlpipe_tests.orchestration import shop


def orders(window):
    return shop.orders(window)


def features(frames, history):
    rows = frames["rows"]
    return rows[["size", "price"]].assign(both=rows["size"] * rows["price"])
"""
YAML = """\
type: mlpipe.PipelineComponent

attributes:
  name: churn
  description: "{{ env.SHOP_TEXT }}"
  owners: team:shop
  tags: {tier: "1", zip: "{{ env.SHOP_ZIP }}"}
  partitions: {every: day, start: 2024-01-01}
  source:
    type: load
    function: functions.py:orders
    event_time: at
    keys: order
  label: {column: late, available_after: 1d}
  features: functions.py:features
  model: {class: sklearn.linear_model.LogisticRegression, params: {C: "{{ env.SHOP_C }}"}}
  window: 10d
  bootstrap: "{{ env.SHOP_BOOTSTRAP }}"
  metrics: [roc_auc]
  gates:
    - at_least: {metric: roc_auc, value: 0.6}
"""


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's project, each with a package of its own name."""
    name = f"project_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    (folder / name / "defs/churn").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(name=name))
    (folder / name / "__init__.py").write_text("")
    (folder / name / "definitions.py").write_text(DEFINITIONS)
    (folder / name / "defs/churn/functions.py").write_text(FUNCTIONS)
    (folder / name / "defs/churn/defs.yaml").write_text(YAML)
    for key, value in (("TEXT", "42"), ("ZIP", "007"), ("C", "0.5"), ("BOOTSTRAP", "150")):
        monkeypatch.setenv(f"SHOP_{key}", value)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return folder


def yaml_of(project: Path) -> Path:
    return project / project.name / "defs/churn/defs.yaml"


def test_a_project_loads_and_runs_one_partition(
    project: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_STORE", str(project / "store"))
    defs = definitions_at(project)
    spec = PIPELINES["churn"]
    # A text stays a text, also where a template's value looks like a number; a number is one where the key asks for it.
    assert (spec.description, spec.tags) == ("42", {"tier": "1", "zip": "007"})
    assert spec.bootstrap == 150 and spec.model.estimator.C == 0.5
    assert spec.base_dir == yaml_of(project).parent
    run(spec, defs, on, Request("ingest", "2024-01-01", "2024-01-01"))
    head = DagsterHeads(on, "", time.time()).find("churn/features", ["2024-01-01"])["2024-01-01"]
    assert "both" in open_store(store_url(spec)).get_table(head.outputs["features"].id)


def test_every_mistake_is_told_at_once_with_its_line_and_valid_values(project: Path) -> None:
    file = yaml_of(project)
    file.write_text(
        YAML.replace("window:", "windw:").replace("roc_auc]", "roc_auk]").replace(":features", ":featurs")
    )
    with pytest.raises(SpecError) as caught:
        definitions_at(project)
    text = str(caught.value)
    lines = file.read_text().splitlines()
    for word, told in (
        ("windw", "Did you mean 'window'?"),
        ("roc_auk", "Did you mean 'roc_auc'"),
        ("featurs", "Did you mean 'features'?"),
    ):
        line = next(i for i, text_ in enumerate(lines, 1) if word in text_)
        assert f"{file}:{line}" in text and told in text
    assert "Traceback" not in text and len(caught.value.findings) == 3


def test_a_template_that_cannot_be_filled_in_names_its_line(project: Path) -> None:
    file = yaml_of(project)
    file.write_text(YAML.replace("{{ env.SHOP_TEXT }}", "{{ env('SHOP_ABSENT') }}"))
    with pytest.raises(SpecError, match="SHOP_ABSENT is not set") as caught:
        definitions_at(project)
    assert f"{file}:5, key description" in str(caught.value)


def test_dg_tells_the_mistakes_with_their_lines_too(project: Path) -> None:
    file = yaml_of(project)
    file.write_text(YAML.replace("window:", "windw:"))
    done = dg_command(project, "check", "defs")
    assert done.returncode == 1
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "windw" in text)
    assert (
        f"{file}:{line}, key windw: unknown key 'windw'. Did you mean 'window'?" in done.stdout + done.stderr
    )


def dg_command(folder: Path, *words: str, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A `dg` command in a folder."""
    home = home or folder
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "DAGSTER_HOME": str(home)}
    command = [str(Path(sys.executable).parent / "dg"), *words]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.long
def test_dg_check_and_list_are_clean_in_a_project(project: Path) -> None:
    for words in (("check", "defs"), ("list", "defs")):
        done = dg_command(project, *words)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
    assert "churn/raw" in done.stdout


AUDITED = """
import mlpipe


class Audited(mlpipe.PipelineComponent):
    def get_asset_spec(self, name, spec):
        return spec.merge_attributes(tags={"audited": "yes"}, owners=["team:audit"]).replace_attributes(
            description=f"{name} of {self.spec.name}"
        )

    def execute(self, spec, stage, keys, ctx):
        for record in super().execute(spec, stage, keys, ctx):
            ctx.log(f"audited {record.asset} {record.partition}")
            yield record
"""


def test_a_subclass_changes_how_assets_show_and_what_runs_around_a_stage(
    project: Path, on: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_STORE", str(project / "store"))
    (project / project.name / "audited.py").write_text(AUDITED)
    file = yaml_of(project)
    file.write_text(YAML.replace("mlpipe.PipelineComponent", f"{project.name}.audited.Audited"))
    defs = definitions_at(project)
    for spec in defs.resolve_all_asset_specs():
        assert spec.tags["audited"] == "yes" and {"team:audit", "team:shop"} <= set(spec.owners)
        assert spec.description == f"{spec.key.path[-1]} of churn" and spec.kinds
    run_id = run(PIPELINES["churn"], defs, on, Request("ingest", "2024-01-01", "2024-01-01"))
    messages = [log.user_message for log in on.all_logs(run_id)]
    for name in ("raw", "validated", "features", "labels"):
        assert f"audited churn/{name} 2024-01-01" in messages


def test_two_pipelines_in_one_file_are_told_apart(project: Path) -> None:
    yaml_of(project).write_text(YAML + "---\n" + YAML.replace("name: churn", "name: upsell"))
    defs = definitions_at(project)
    names = {s.key.path[0] for s in defs.resolve_all_asset_specs()}
    assert names == {"churn", "upsell"}
    assert PIPELINES["upsell"].where.endswith(f"defs.yaml:{len(YAML.splitlines()) + 4}")


def test_an_empty_component_says_what_is_missing(project: Path) -> None:
    yaml_of(project).write_text("type: mlpipe.PipelineComponent\n")
    with pytest.raises(SpecError, match="'name' is missing"):
        definitions_at(project)


def test_dagsters_own_error_around_a_component_holds_ours(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(project))
    yaml_of(project).write_text(YAML.replace("window:", "windw:"))
    with pytest.raises(Exception, match="Error while loading component") as caught:
        dg.load_from_defs_folder(path_within_project=project / project.name)
    assert isinstance(cause(caught.value), SpecError)
