"""A pipeline found in the archive of its code: in Python, in YAML, behind a function; and what is said when it is not there."""

import sys
from pathlib import Path

import pytest

from mlpipe.errors import NotFoundError
from mlpipe.orchestration.archived import spec_at
from mlpipe.records.unpacked import Unpacked

PIPELINE = """\
import mlpipe as ml
from sklearn.linear_model import LogisticRegression


def declared():
    return ml.Pipeline(
        name="{name}",
        partitions=ml.daily(start="2024-01-01"),
        source=ml.Parquet("{{partition}}.parquet", event_time="at"),
        label=ml.Label("late"),
        features=["size"],
        model=LogisticRegression(),
    )
"""
YAML = """\
type: mlpipe.PipelineComponent
attributes:
  name: {name}
  partitions: {{every: day, start: "2024-01-01"}}
  source: {{type: parquet, path: "{{partition}}.parquet", event_time: at}}
  label: {{column: late}}
  features: [size]
  model: {{class: sklearn.linear_model.LogisticRegression}}
  window: "{{{{ env('WINDOW_OF_ARCHIVED', '12d') }}}}"
  overlays: {{prod: {{window: 30d}}}}
"""


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def laid(folder: Path, **files: str) -> Unpacked:
    """Unpacked files, by name (``/`` as ``__of__``)."""
    for name, text in files.items():
        path = folder / (name.replace("__of__", "/") + ("" if name.endswith("yaml") else ".py"))
        path = path.with_name(path.name.replace("_yaml", ".yaml"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Unpacked(folder, folder, (folder,))


def test_a_pipeline_that_stands_in_a_module(tmp_path: Path) -> None:
    text = PIPELINE.format(name="arch_one") + "\n\nmine = declared()\n"
    spec = spec_at(
        laid(tmp_path, arch_one_module=text, other_one="raise SystemError('is not asked')"), "arch_one"
    )
    assert spec.name == "arch_one" and spec.base_dir == tmp_path


def test_a_pipeline_that_a_function_makes(tmp_path: Path) -> None:
    code = laid(
        tmp_path,
        arch_two__of____init__="",
        arch_two__of__making=PIPELINE.format(name="arch_two"),
        arch_two__of__definitions="from arch_two.making import declared\n\ndefs = declared().definitions()\n",
    )
    assert spec_at(code, "arch_two").name == "arch_two"


def test_definitions_that_are_called_late(tmp_path: Path) -> None:
    text = PIPELINE.format(name="arch_late") + (
        "\n\nimport dagster as dg\n\n\n@dg.definitions\ndef defs():\n    return declared().definitions()\n"
    )
    assert spec_at(laid(tmp_path, arch_late_module=text), "arch_late").name == "arch_late"


def test_a_pipeline_in_yaml_with_its_deployment_and_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = laid(
        tmp_path,
        defs__of__other__of__defs_yaml=YAML.format(name="other"),
        defs__of__a__of__defs_yaml=YAML.format(name="arch_y"),
    )
    assert spec_at(code, "arch_y").window is not None and spec_at(code, "arch_y").window.days == 12  # type: ignore[union-attr]
    assert spec_at(code, "arch_y", "prod").window.days == 30  # type: ignore[union-attr]
    monkeypatch.setenv("WINDOW_OF_ARCHIVED", "15d")
    spec = spec_at(code, "arch_y")
    assert spec.window.days == 15 and spec.base_dir == tmp_path / "defs/a"  # type: ignore[union-attr]


def test_what_does_not_load_is_named_with_its_line(tmp_path: Path) -> None:
    code = laid(tmp_path, arch_bad="import a_module_of_another_folder\nPipeline(name='arch_three')\n")
    with pytest.raises(NotFoundError, match="does not load") as caught:
        spec_at(code, "arch_three")
    text = str(caught.value)
    assert (
        "a_module_of_another_folder" in text and "arch_bad.py:1" in text and "must be installed here" in text
    )


def test_an_archive_without_the_declaration_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not declare the pipeline 'arch_four'"):
        spec_at(laid(tmp_path, arch_four_lib="def made():\n    return 1\n"), "arch_four")
