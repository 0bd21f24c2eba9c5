"""Any text in the place of a `defs.yaml`: a specification, or an error that names file, line or key, and the cause."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mlpipe.errors import MlpipeError, SpecError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.yaml_file import build_mapping, decoded, read
from mlpipe_tests.spec.declared import FILE
from mlpipe_tests.spec.yaml_texts import FUNCTIONS, SKELETONS, raw, texts

PLACE = re.compile(rf"^{re.escape(FILE)}(:[1-9]\d*)?(, key .+)?$", re.DOTALL)
SLOWEST = 5.0
"""Seconds of this processor that a text may take."""
PLAIN = (dict, list, str, int, float, bool, type(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("yaml")
    (made / "feat.py").write_text(FUNCTIONS)
    return made


def only_plain(value: Any) -> bool:
    """Whether nothing was constructed: mappings, lists, text, numbers, truth and nothing, by their exact types."""
    if type(value) is dict:
        return all(type(k) is str and only_plain(v) for k, v in value.items())
    return all(map(only_plain, value)) if type(value) is list else type(value) in PLAIN


def outcome(text: str, folder: Path) -> "list[PipelineSpec | MlpipeError]":
    """What the loader makes of each document, or of the text."""
    try:
        documents = read(text, FILE)
    except SpecError as error:
        return [error]
    assert all(only_plain(document) for document, _ in documents)
    out: list[PipelineSpec | MlpipeError] = []
    for document, lines in documents:
        try:
            out.append(build_mapping(document, lines, file=FILE, base_dir=folder))
        except MlpipeError as error:
            out.append(error)
    return out


def told_where_and_why(error: MlpipeError) -> bool:
    """Whether an error names its place and its cause."""
    if not error.findings:
        return bool(PLACE.match(error.where) and error.what and error.fix)
    return all(PLACE.match(f.where) and f.what.strip() for f in error.findings)


def either_or(text: str, folder: Path) -> None:
    began = time.process_time()
    for made in outcome(text, folder):
        if isinstance(made, PipelineSpec):
            assert repr(made)
        else:
            assert isinstance(made, SpecError) and told_where_and_why(made), str(made)
            assert "Traceback" not in str(made) and "object at 0x" not in str(made), str(made)
    assert time.process_time() - began < SLOWEST
    assert sorted(p.name for p in folder.iterdir() if p.name != "__pycache__") == ["feat.py"]


@pytest.mark.parametrize("text", SKELETONS)
def test_the_skeletons_are_valid(text: str, folder: Path) -> None:
    (made,) = outcome(text, folder)
    assert isinstance(made, PipelineSpec), str(made)


@pytest.mark.timeout(3600)
@settings(max_examples=500)
@given(text=texts())
def test_a_changed_text_gives_a_specification_or_an_error(text: str, folder: Path) -> None:
    either_or(text, folder)


# The thorough profile draws ten times as many above; with these it is ten thousand texts.
@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=5_000)
@given(text=texts())
def test_a_changed_text_gives_a_specification_or_an_error_long(text: str, folder: Path) -> None:
    either_or(text, folder)


@settings(max_examples=150)
@given(data=raw())
def test_changed_bytes_give_a_specification_or_an_error(data: bytes, folder: Path) -> None:
    error = None
    try:
        text = decoded(data, FILE)
    except SpecError as refusal:
        error = refusal
    if error is None:
        either_or(text, folder)
    else:
        assert told_where_and_why(error), str(error)
