"""Awkward files, from `init` on: each leads to a sensible proposal that runs, or is refused in the right sentence."""

from pathlib import Path

import pytest

from mlpipe_tests.corpus.case import Case
from mlpipe_tests.corpus.cases import ALL, problems
from mlpipe_tests.corpus.drive import concluded, differences, quarantined, refusal, told, ugly, working_in
from mlpipe_tests.corpus.walk import walked

QUICK = [c for c in ALL if not c.long]
WHOLE_WAY = (
    "day_first_dates",
    "months",
    "y_and_n_with_blanks",
    "thirty_classes",
    "decimal_commas",
    "odd_names",
    "typed_parquet",
    "a_table_of_sqlite",
)
"""Cases that go the whole way in the quick tests too."""


def test_the_corpus_is_sound() -> None:
    assert not problems() and len(ALL) >= 45
    assert {c.name for c in ALL} >= set(WHOLE_WAY)


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


def _whole_way(case: Case, folder: Path) -> None:
    """From `init` to `replay`, without a hand on any file."""
    data = case.build(folder)
    before = {p.name for p in folder.iterdir()}
    steps = walked(case, data, folder)
    assert not [sign for step in steps.values() for sign in ugly(step)]
    if case.expect.refused:
        assert not refusal(case, steps["init"], folder, before)
        return
    name, last = list(steps.items())[-1]
    assert last.code == 0, f"{name}: {last.out[-800:]}{last.err}"
    proposal = concluded(steps["init"])
    assert not differences(case, proposal)
    assert quarantined(steps["run"].out) <= case.expect.lost
    assert ("Judged for" in steps["run"].out) or not case.expect.learns, steps["run"].out
    nothing = "nothing to live through" in steps["replay"].out
    assert nothing == (proposal["every"] == "none"), steps["replay"].out


@pytest.mark.parametrize("case", [c for c in ALL if c.name in WHOLE_WAY], ids=lambda c: c.name)
def test_from_init_to_replay(case: Case, tmp_path: Path) -> None:
    _whole_way(case, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", [c for c in ALL if c.name not in WHOLE_WAY], ids=lambda c: c.name)
def test_the_others_from_init_to_replay(case: Case, tmp_path: Path) -> None:
    _whole_way(case, tmp_path)
