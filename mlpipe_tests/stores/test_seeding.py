"""Every random part gets the seed, and nothing of the caller's changes."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer
from sklearn.tree import DecisionTreeClassifier

from mlpipe.stores.seeding import seed_everything


def nested() -> Pipeline:
    return Pipeline(
        [
            (
                "pre",
                ColumnTransformer([("q", QuantileTransformer(n_quantiles=5), [0])], remainder="passthrough"),
            ),
            ("bag", BaggingClassifier(DecisionTreeClassifier(max_features=1), n_estimators=3)),
        ]
    )


def test_nested_states_are_set_on_a_clone() -> None:
    given = nested()
    seeded = seed_everything(given, 7)
    states = {k: v for k, v in seeded.get_params().items() if k.endswith("random_state")}
    assert len(states) == 3 and set(states.values()) == {7}
    assert all(v is None for k, v in given.get_params().items() if k.endswith("random_state"))


def test_two_fits_agree_and_another_seed_does_not() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    first, again, other = (seed_everything(nested(), s).fit(x, y).predict_proba(x) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_state_that_was_set_is_kept() -> None:
    assert seed_everything(RandomForestClassifier(random_state=3), 7).random_state == 3


def test_a_splitter_is_seeded_too() -> None:
    given = GridSearchCV(LogisticRegression(), {"C": [1]}, cv=KFold(3, shuffle=True))
    seeded = seed_everything(given, 7)
    assert (seeded.cv.random_state, given.cv.random_state) == (7, None)
    assert seed_everything(GridSearchCV(LogisticRegression(), {}, cv=KFold(3)), 7).cv.random_state is None


def test_what_has_no_parameters_is_copied() -> None:
    given = {"weights": [1]}
    copy = seed_everything(given, 7)
    assert copy == given and copy is not given
