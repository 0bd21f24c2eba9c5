"""Awkward files, from `init` on: each leads to a sensible proposal that runs, or is refused in the right sentence."""

from pathlib import Path

import pytest

from mlpipe_tests.corpus.case import Case
from mlpipe_tests.corpus.cases import ALL, problems
from mlpipe_tests.corpus.drive import concluded, differences, refusal, told, ugly, working_in

QUICK = [c for c in ALL if not c.long]


def test_the_corpus_is_sound() -> None:
    assert not problems() and len(ALL) >= 45


@pytest.mark.parametrize("case", QUICK, ids=lambda c: c.name)
def test_a_sensible_proposal_that_loads(case: Case, tmp_path: Path) -> None:
    data = case.build(tmp_path)
    before = {p.name for p in tmp_path.iterdir()}
    with working_in(tmp_path):
        made = told(*case.arguments(data), "--json")
        assert not ugly(made)
        if case.expect.refused:
            assert not refusal(case, made, tmp_path, before)
            return
        assert made.code == 0, made.err
        assert not differences(case, concluded(made))
        checked = told("check", case.name)
    assert not ugly(checked)
    assert checked.code == 0, checked.err
