"""Awkward files the whole way, `init`, `check`, `run`, `replay`, without a hand on any file."""

from pathlib import Path

import pytest

from mlpipe_tests.corpus.case import Case
from mlpipe_tests.corpus.cases import ALL
from mlpipe_tests.corpus.drive import concluded, differences, quarantined, ugly
from mlpipe_tests.corpus.walk import walked

ACCEPTED = [c for c in ALL if not c.expect.refused]
"""`test_corpus` has shown the others to be refused before there is anything to run."""
QUICK = ("decimal_commas",)
"""Cases that go the whole way in the quick tests too; a table of a database does in `test_init_postgres`."""


def whole_way(case: Case, folder: Path) -> None:
    data = case.build(folder)
    steps = walked(case, data, folder)
    assert not [sign for step in steps.values() for sign in ugly(step)]
    name, last = list(steps.items())[-1]
    assert last.code == 0, f"{name}: {last.out[-800:]}{last.err}"
    proposal = concluded(steps["init"])
    assert not differences(case, proposal)
    assert quarantined(steps["run"].out) <= case.expect.lost
    assert ("Judged for" in steps["run"].out) or not case.expect.learns, steps["run"].out
    nothing = "nothing to live through" in steps["replay"].out
    assert nothing == (proposal["every"] == "none"), steps["replay"].out


def test_the_quick_ones_are_there() -> None:
    assert {c.name for c in ACCEPTED} >= set(QUICK)


@pytest.mark.parametrize("case", [c for c in ACCEPTED if c.name in QUICK], ids=lambda c: c.name)
def test_from_init_to_replay(case: Case, tmp_path: Path) -> None:
    whole_way(case, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", [c for c in ACCEPTED if c.name not in QUICK], ids=lambda c: c.name)
def test_the_others_from_init_to_replay(case: Case, tmp_path: Path) -> None:
    whole_way(case, tmp_path)
