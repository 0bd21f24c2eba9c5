"""What holds for the tests of the stages: nothing here outlives a power cut, so no write waits for the disk."""

import os
from collections.abc import Iterator

import pytest

from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.stages.candidates import lived
from mlpipe_tests.stages.pipelines import World


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelineSpec, World]:
    """A past with four candidates and a rollback; for reading only, but for cells of the matrix."""
    return lived(tmp_path_factory.mktemp("candidates"))
