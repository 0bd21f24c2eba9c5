"""Gates tried on the past: those that were in force decide as they did, stricter ones block what they must, and what follows is scored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import mlpipe as ml
from mlpipe.ledger.chain import Ledger
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.consequences import compared
from mlpipe.stages.counterfactual import Case, Counterfactual
from mlpipe.stages.past import Past
from mlpipe_tests.stages.candidates import FIRST, LAST, TRAINED, spec_at
from mlpipe_tests.stages.pipelines import FEATURES, World, day, days, rows
from mlpipe_tests.stages.test_matrix import truth


@pytest.fixture(scope="module")
def past(candidates: tuple[PipelineSpec, World]) -> Past:
    spec, world = candidates
    return Past(spec, world.store, Ledger(world.store.backend, spec.name))


def tried(past: Past, spec: PipelineSpec, folder: Path, **how: Any) -> tuple[Counterfactual, list[Case]]:
    other = Counterfactual(past, spec, folder, **how)
    return other, list(other.decide(how.pop("keys", days(LAST))))


@pytest.mark.parametrize("fresh", [True, False])
def test_the_policy_that_was_in_force_decides_exactly_as_it_did(
    past: Past, tmp_path: Path, fresh: bool
) -> None:
    before = sorted(past.store.backend.list())
    other, cases = tried(past, past.spec, tmp_path, fresh=fresh)
    assert [c.then.verdict for c in cases] == ["promoted", "promoted", "refused", "refused"]
    for case in cases:
        assert case.now == case.then and case.same and case.now.gates
    # The rollback and its acknowledgement were decided here too, and every entry but clocks and nonces is as it was.
    assert not other.told
    told = [(e.kind, e.version, e.to_version, e.reason, e.effective_at) for e in past.ledger.entries()]
    assert [
        (e.kind, e.version, e.to_version, e.reason, e.effective_at) for e in other.ledger.entries()
    ] == told
    assert sorted(past.store.backend.list()) == before, "the store is only read"


def test_it_may_begin_in_the_middle_with_the_champion_of_then(past: Past, tmp_path: Path) -> None:
    other = Counterfactual(past, past.spec, tmp_path, fresh=True)
    cases = list(other.decide(days(2, first=TRAINED[2])))
    assert [c.registered.version for c in cases] == [3] and cases[0].same and cases[0].now.champion == 1


def test_a_stricter_margin_blocks_what_the_table_says(past: Past, tmp_path: Path) -> None:
    gates = [ml.gate.at_least("roc_auc", 0.55), ml.gate.beats_champion("roc_auc", margin=0.9)]
    other, cases = tried(past, spec_at(past.spec.base_dir, gates=gates), tmp_path)
    assert [c.now.verdict for c in cases] == ["promoted", "refused", "refused", "refused"]
    # By hand: no model leads a champion whose AUC is near 0.1 by 0.9.
    bound = 0.9
    for case in cases[1:]:
        (gate,) = (g for g in case.now.gates if g.kind == "beats_champion")
        assert gate.limit == bound and gate.observed is not None and gate.observed < bound
        assert case.now.failed == ("beats_champion(roc_auc, margin=0.9)",) and case.now.champion == 1
        assert any(r.startswith("roc_auc improves on the champion 1") for r in case.now.reasons)
    assert [t.entry.kind for t in other.told] == ["rollback", "acknowledge"], "there was nothing to roll back"
    found = compared(past, other, cases, days(LAST - FIRST, first=FIRST))
    assert [c["followed"]["days"] for c in found["cases"]] == [12, 3, 2, 1]
    assert found["production"]["difference"] < 0, "the better model was kept out"
    assert [b["kind"] for b in found["by_hand"]] == ["rollback", "acknowledge"]


def test_what_followed_equals_scoring_by_brute_force(past: Past, tmp_path: Path) -> None:
    # Without a comparison that asks for a lead nobody is blocked but by the tenure, and the last model serves at once.
    lax = spec_at(past.spec.base_dir, gates=[ml.gate.beats_champion("roc_auc", margin=-1.0)], min_tenure="0s")
    other, cases = tried(past, lax, tmp_path)
    assert [c.now.verdict for c in cases] == ["promoted"] * 4
    keys = days(LAST - FIRST, first=FIRST)
    found = compared(past, other, cases, keys)
    then, now = ({t["day"]: t[side] for t in found["timeline"]} for side in ("then", "now"))
    # What served then is what the predictions say.
    for record in past.of("predict"):
        assert then[record.partition] == record.data.get("version")
    bundles = {v.number: past.store.get_bundle(v.bundle) for v in past.state.versions.values()}
    for side, served in (("then", then), ("now", now)):
        y, scores = [], []
        for n in range(FIRST, LAST):
            y.append(truth(n))
            scores.append(bundles[served[day(n)]].predict(rows(day(n))[FEATURES]))
        auc = roc_auc_score(np.concatenate(y), np.concatenate(scores))
        assert found["production"][side] == pytest.approx(auc, abs=1e-9)
    assert found["production"]["days"] == LAST - FIRST
    assert found["production"]["difference"] == pytest.approx(
        found["production"]["now"] - found["production"]["then"], abs=1e-9
    )
    # The second model and the champion of then on the days until the third: by hand.
    second = found["cases"][1]["followed"]
    stretch = range(TRAINED[1], TRAINED[2])
    known = np.concatenate([truth(n) for n in stretch])
    for who, number in (("candidate", 2), ("champion", 1)):
        made = np.concatenate([bundles[number].predict(rows(day(n))[FEATURES]) for n in stretch])
        assert second[who] == pytest.approx(roc_auc_score(known, made), abs=1e-9)
    assert (second["days"], second["rows"]) == (3, len(known))


def test_a_stretch_without_candidates_has_none(past: Past, tmp_path: Path) -> None:
    assert list(Counterfactual(past, past.spec, tmp_path / "b").decide(days(3))) == []
    found = compared(past, Counterfactual(past, past.spec, tmp_path / "c"), [], days(3))
    assert found["cases"] == [] and found["production"]["difference"] is None
