"""Tables whose columns or labels are not what was declared: said with column and partition, and no model is made of them unseen."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlpipe_tests.refusals.conftest import FIRST, LAST, NEXT, TRAINED
from mlpipe_tests.refusals.project import BEFORE, Project, days, orders

Spoil = Callable[[pd.DataFrame], pd.DataFrame]
ONE = ("run", "shop", "--from", NEXT)
AGAIN = ("run", "shop", "--from", FIRST, "--to", TRAINED, "--train-at", NEXT)
INF = float("inf")


def spoilt(project: Project, spoil: Spoil, *keys: str) -> None:
    for key in keys:
        project.data(key, spoil(orders(key)))


# -- columns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "words", "made"),
    [
        (lambda o: o.drop(columns="at"), ["source rows", "there is no column 'at'", "mean 'late'"], ""),
        (lambda o: o.drop(columns="order"), ["source rows", "there is no column 'order'", "Valid: at, "], ""),
        (lambda o: o.drop(columns="size"), ["features: there is no column 'size'", "Valid: order"], "raw"),
        (lambda o: o.rename(columns={"size": "Size"}), ["no column 'size'", "mean 'Size'"], "raw"),
        (lambda o: o.assign(size="big"), ["features, column 'size'", "numeric", "now holds str"], "raw"),
        (lambda o: o.drop(columns="late"), ["label", "there is no column 'late'", "Did you"], "features"),
        (lambda o: o.assign(_row=1), ["the name '_row' is taken", "Rename the column"], ""),
    ],
    ids=["time", "key", "feature", "renamed", "retyped", "label", "reserved"],
)
def test_a_column_that_is_missing_renamed_or_retyped(
    shop: Project, spoil: Spoil, words: list[str], made: str
) -> None:
    spoilt(shop, spoil, NEXT)
    shop.refused(shop(*ONE), 1, "pipeline shop", f"partition {NEXT}", *words)
    # What was done before the step that failed is on record, and nothing after it.
    done = [a for a in ("raw", "validated", "features", "labels") if NEXT in shop.verdicts(a)]
    assert done == {"": [], "raw": ["raw", "validated"], "features": ["raw", "validated", "features"]}[made]
    assert shop.decisions() == BEFORE
    shop.sound()


def test_duplicate_keys_fail_the_day_and_are_shown(shop: Project) -> None:
    """Also when most rows are fine: a key that names two rows names none."""
    spoilt(shop, lambda o: pd.concat([o, o.head(3)]), NEXT)
    told = shop(*ONE)
    assert told.code == 0
    assert f"{NEXT}, validated, source rows: 3 of 15 rows break 'order unique'" in told.out
    record = shop.records("validated")[NEXT]
    assert record.verdict == "fail" and record.data["rows"]["rows"]["quarantined"] == 3
    assert shop.verdicts("predictions")[NEXT] == "left_out"
    shop.sound()


def test_what_was_never_seen_is_scored_and_what_is_null_or_infinite_counts_as_missing(shop: Project) -> None:
    """A region that the model never saw, two infinite sizes, and a day on which no size is known."""
    spoilt(shop, lambda o: o.assign(region="moon", size=[INF, -INF, *o["size"][2:]]), TRAINED)
    spoilt(shop, lambda o: o.assign(size=None), NEXT)
    told = shop("run", "shop", "--from", TRAINED, "--to", NEXT)
    assert told.code == 0, told.err
    assert f"{TRAINED}, features, feature size: 2 values are infinite, and count as missing." in told.out
    assert {k: shop.verdicts("predictions")[k] for k in (TRAINED, NEXT)} == dict.fromkeys(
        (TRAINED, NEXT), "pass"
    )
    table = shop.table("features", TRAINED)
    assert table["size"].isna().sum() == 2 and np.isfinite(table["size"].dropna()).all()
    assert shop.table("predictions", NEXT)["score"].between(0, 1).all()
    shop.sound()


# -- labels -------------------------------------------------------------------------------------------------------


NOTHING: dict[str, Spoil] = {
    "the training rows hold a single class": lambda o: o.assign(late=1),
    "no partition of the window has features with known labels": lambda o: o.assign(late=None),
    "the train part holds 2 labelled rows, at least 10 are needed": lambda o: o.head(2),
    "no feature holds a value in the training rows": lambda o: o.assign(size=None, region=None),
    "the labels hold 3 values ('0', '1', 'yes'), and a gate asks for 'roc_auc'": lambda o: o.assign(
        late=["yes", *o["late"][1:]]
    ),
    "the labels mix text and numbers: 0, '": lambda o: (
        o if o["at"].iloc[0].day % 2 else o.assign(late=["no", "yes"] * 6)
    ),
}
"""Three days in a row of each kind, and what is said of a training on them."""


def test_what_nothing_can_be_learned_from_is_a_refusal_on_record(new: Project) -> None:
    """No crash and no decision; and the days of one kind are in nobody else's way."""
    keys, trainings = days(count=4 * len(NOTHING) + 1), []
    for n, spoil in enumerate(NOTHING.values()):
        spoilt(new, spoil, *keys[4 * n : 4 * n + 3])
        spoilt(new, lambda o: o, keys[4 * n + 3])
        trainings += ["--train-at", keys[4 * n + 3]]
    new.declare(window='"3d"', split='ml.Split(valid="1d", test="1d")')
    told = new("run", "shop", "--from", keys[0], "--to", keys[-2], *trainings, "--watch-to", keys[0])
    assert told.code == 0, told.err
    flat = " ".join(told.out.split())
    for said, key in zip(NOTHING, trainings[1::2], strict=True):
        record = new.records("model")[key]
        assert record.verdict == "refused" and said in record.findings[0].what, record.findings
        assert f"Nothing was judged for {key}: " in flat and said in flat
        assert new.verdicts("evaluation")[key] == new.verdicts("release")[key] == "no_model"
    assert new.decisions() == [] and "No model was registered." in told.out
    new.sound()


def test_what_says_nothing_is_named_and_the_rest_is_learned_from(new: Project) -> None:
    """A label that is half null and once infinite; a feature that is null, and one that is constant."""
    half = [None, INF, *[1, 0] * 2, *[None] * 4, 1, 0]
    spoilt(new, lambda o: o.assign(late=half, size=None, region="here", load=o["order"] % 7), *days())
    new.declare(features='["size", "region", "load"]')
    told = new(*AGAIN)
    assert told.code == 0 and new.verdicts("model") == {NEXT: "trained"}
    assert "7 partitions ripe, 42 of 84 labels known" in told.out
    assert f"{FIRST} and 6 more, labels, label late: 1 label is infinite, and counts as missing." in told.out
    assert f"{NEXT}, model, feature size: no training row holds a value." in told.out
    assert f"{NEXT}, model, feature region: all training rows hold the same value." in told.out
    new.sound()


def test_a_label_that_no_row_ever_had(new: Project) -> None:
    new.declare(label='ml.Label("lat")')
    text = new.refused(
        new("run", "shop", "--from", FIRST, "--to", LAST), 1, "no column 'lat'", "Did you mean"
    )
    assert text.count("there is no column") == 6 and "6 of 6 partitions failed" in text
    assert new.decisions() == [] and new.verdicts("labels") == {}
    new.sound()
