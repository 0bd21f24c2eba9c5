"""Probes that need a store: golden rows, features made again from what was known, a model trained again."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mlpipe.core.scored import Scored
from mlpipe.errors import DataError
from mlpipe.spec.probing import Golden
from mlpipe.stages import train
from mlpipe.stages.dataset import Encoding, collect, model_frame
from mlpipe.stages.judging import probed
from mlpipe.stages.judging.audit import audited
from mlpipe.stages.judging.golden import content
from mlpipe.stages.judging.subject import Subject
from mlpipe_tests.stages.judging.subjects import Says
from mlpipe_tests.stages.pipelines import DATA, World, day, days, rows, spec_of, written


def honest(frames, history):
    """Plays so far among the rows of the day, and what was known of the past at each row's own time."""
    today = frames["rows"].sort_values("at", kind="stable")
    return pd.DataFrame({"hours": today["hours"], "plays": today["plays"], "sofar": today["plays"].cumsum()})


def peeking(frames, history):
    """The same, with a mean over the whole day, and the past as known at the day's end."""
    made, past = honest(frames, history), history["labels"]
    left = past["churned"].mean() if len(past) else np.nan
    return made.assign(mean=frames["rows"]["hours"].mean(), left=left)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Twelve days of data, and a model for the last."""
    folder = tmp_path_factory.mktemp("probed")
    spec = spec_of(written(folder / "data", days(12)), window="10d")
    world = World(folder / "store")
    world.run_all(DATA, spec, days(12))
    world.run(train.STAGE, spec, [day(12)])
    return world, spec


def subject_on(world, spec, **changes):
    ctx = world.context(spec)
    bundle = ctx.store.get_bundle(ctx.heads.find("churn/model", [day(12)])[day(12)].outputs["bundle"].id)
    data = collect(spec, days(4, first=8), ctx)
    y = Encoding(bundle.task, bundle.classes).encode(data.rows[data.label])
    scored = Scored(y, bundle.predict(data.rows), bundle.threshold, bundle.classes)
    learned = collect(spec, days(6), ctx).rows
    given = {
        "spec": spec,
        "key": day(12),
        "bundle": bundle,
        "rows": data.rows,
        "y": y,
        "scored": scored,
        "blocks": data.rows["_partition"].to_numpy(),
        "names": ("roc_auc", "f1"),
        "champion": None,
        "champion_scored": None,
        "compared": None,
        "training": lambda: (learned, None),
        "ctx": ctx,
        "seed": 0,
    }
    return Subject(**{**given, **changes})


def test_a_model_trained_again_is_itself_and_a_changed_one_is_not(made):
    world, spec = made
    subject = subject_on(world, spec)
    found = probed(subject, ["reproduction"])["reproduction"]
    assert found.facts["verdict"] == "identical" and found.facts["differs"] == []
    changed = spec_of(spec.base_dir, window="10d", model=LogisticRegression(C=0.01))
    other = probed(replace(subject, spec=changed), ["reproduction"])["reproduction"]
    assert other.facts["verdict"] == "different"
    assert "bundle" in {d["name"] for d in other.facts["differs"]} and "bundle" in other.notes[0]
    nobody = probed(replace(subject, key=day(3)), ["reproduction"])["reproduction"]
    assert "no record" in nobody.facts["failed"] and "verdict" not in nobody.facts


def test_golden_rows_are_judged_for_both_and_a_version_is_fixed(made):
    world, spec = made
    golden = rows(day(30))
    golden.to_csv(spec.base_dir / "golden.csv", index=False)
    asked = spec.model_copy(
        update={"golden": Golden(file="golden.csv", version="2", recent="2d", recent_rows=30)}
    )
    subject = subject_on(world, asked)
    rival = replace(subject.bundle, estimator=Says(lambda f: np.clip(f["hours"] / 40, 0, 1)))
    found = probed(replace(subject, champion=rival), ["golden"])["golden"].facts
    X = model_frame(golden, subject.bundle.features)
    ours, theirs = (roc_auc_score(golden["churned"], m.predict(X)) for m in (subject.bundle, rival))
    assert found["metrics"]["roc_auc"] == pytest.approx(ours) and found["champion"][
        "roc_auc"
    ] == pytest.approx(theirs)
    difference = found["difference"]["roc_auc"]
    assert difference["value"] == pytest.approx(ours - theirs)
    assert difference["low"] < difference["value"] < difference["high"]
    assert (found["name"], found["version"], found["rows"]) == ("golden", "2", 60)
    assert found["recent"]["rows"] == 30 and found["recent"]["champion"]
    again = probed(replace(subject, key=day(11)), ["golden"])["golden"].facts
    assert again["recent"]["metrics"] != found["recent"]["metrics"] and again["metrics"] == found["metrics"]
    # Its version names its content, also when the file is gone; and never another content.
    name = content(asked, world.store)
    golden.head(20).to_csv(spec.base_dir / "golden.csv", index=False)
    with pytest.raises(DataError, match="held other rows"):
        content(asked, world.store)
    newer = asked.model_copy(update={"golden": Golden(file="golden.csv", version="3")})
    assert content(newer, world.store) != name
    (spec.base_dir / "golden.csv").unlink()
    assert content(asked, world.store) == name
    gone = asked.model_copy(update={"golden": Golden(file="golden.csv", version="9")})
    with pytest.raises(DataError, match="no such file"):
        content(gone, world.store)


def test_golden_rows_must_have_every_feature_and_a_truth_that_the_model_knows(made):
    world, spec = made
    for frame, text in (
        (rows(day(30)).drop(columns="plays"), "lack the feature 'plays'"),
        (rows(day(30)).drop(columns="churned"), "no column 'churned'"),
        (rows(day(30)).assign(churned=7), "row 1 has the truth 7"),
    ):
        table = world.store.put_table(frame).id
        asked = spec.model_copy(update={"golden": Golden(table=table)})
        with pytest.raises(DataError, match=text):
            probed(subject_on(world, asked), ["golden"])


@pytest.mark.parametrize(("function", "late"), [(honest, set()), (peeking, {"mean", "left"})])
def test_features_made_from_something_later_are_found(tmp_path, function, late):
    spec = spec_of(written(tmp_path / "data", days(5)), features={"function": function, "look_back": "3d"})
    spec = spec.model_copy(
        update={
            "label": spec.label.model_copy(update={"available_after": pd.Timedelta("18h").to_pytimedelta()})
        }
    )
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(5))
    found = audited(spec, day(4), world.context(spec))
    assert found.why == "" and found.rows == 30
    assert set(found.features) == late and found.late == (30 if late else 0)


def test_a_feature_that_knows_the_truth_is_a_suspect(made):
    world, spec = made
    subject = subject_on(world, spec)
    clean = probed(subject, ["leakage"])["leakage"].facts
    assert clean["suspects"] == [] and clean["late_rows"] == 0 and clean["audited_rows"] == 30
    assert clean["adversarial"]["auc"] == pytest.approx(0.5, abs=0.15)
    leaky = subject.rows.assign(plays=subject.y * 2.0)
    found = probed(replace(subject, rows=leaky), ["leakage"])["leakage"]
    assert found.facts["suspects"] == ["plays"] and "'plays' alone tells 1 of the truth" in found.notes[0]
    assert found.facts["features"][0] == {"feature": "plays", "alone": 1.0, "suspect": True}
