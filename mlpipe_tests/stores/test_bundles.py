"""Bundles: the same fit gives the same id, nothing untrusted is built, nothing damaged is used."""

import io
import json
import os
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators
from threadpoolctl import threadpool_limits

from mlpipe.errors import BundleError, DataError
from mlpipe.stores import canonical_skops
from mlpipe.stores.bundles import bundle_id, dumps, loads
from mlpipe_tests.stores.models import boosted, bundle_of, fitted, logistic, people

_FIT = """
import json, sys
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from mlpipe.stores.bundles import dumps
from mlpipe_tests.stores.models import bundle_of, people, pipeline
frame, label = people(2000)
jobs = int(sys.argv[1])
models = HistGradientBoostingClassifier(max_iter=10), RandomForestClassifier(10, n_jobs=jobs), LogisticRegression()
print(json.dumps([dumps(bundle_of(pipeline(m).fit(frame, label), frame))[0] for m in models]))
"""


def test_two_processes_with_other_threads_and_hash_seeds_give_one_id() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _FIT, threads],
            env={
                **os.environ,
                "OMP_NUM_THREADS": threads,
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONHASHSEED": threads,
            },
            stdout=subprocess.PIPE,
        )
        for threads in ("1", "3")
    ]
    first, second = (json.loads(process.communicate(timeout=120)[0]) for process in processes)
    assert first == second
    assert len(set(first)) == 3


def test_a_loaded_bundle_is_the_one_that_was_saved() -> None:
    bundle = replace(boosted(), extra={"window": ["2024-01-01", "2024-02-01"]})
    frame, _ = people()
    name, data = dumps(bundle)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = loads(data, name)
    assert np.array_equal(loaded.predict(frame), bundle.predict(frame))
    assert (loaded.task, loaded.features, loaded.classes) == (bundle.task, bundle.features, bundle.classes)
    assert (loaded.positive, loaded.threshold, dict(loaded.extra)) == (1, 0.5, dict(bundle.extra))
    pd.testing.assert_frame_equal(loaded.input_example, bundle.input_example)
    assert dumps(loaded) == (name, data)
    assert bundle_id(data) == name


def test_neither_the_clock_nor_a_prediction_in_between_changes_the_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = time.gmtime(time.time() + 1e6)
    frame, _ = people()
    for model in (KNeighborsClassifier(), GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=3)):
        bundle = bundle_of(fitted(model), frame)
        before = dumps(bundle)
        bundle.predict(frame)
        monkeypatch.setattr(time, "localtime", lambda *_: later)
        assert dumps(bundle) == before
        assert dumps(bundle_of(fitted(model), frame)) == before
        monkeypatch.undo()


@pytest.mark.parametrize(
    "changes",
    [{"threshold": 0.4}, {"threshold": None}, {"positive": 0}, {"classes": (1, 0)}, {"extra": {"a": 1}}],
)
def test_the_signature_is_part_of_the_id(changes: dict[str, Any]) -> None:
    bundle = logistic()
    assert dumps(replace(bundle, **changes))[0] != dumps(bundle)[0]


def test_weights_and_example_are_part_of_the_id() -> None:
    frame, _ = people()
    names = {
        dumps(bundle_of(fitted(LogisticRegression(C=c)), frame, input_example=frame.head(n)))[0]
        for c, n in ((1, 5), (2, 5), (1, 4))
    }
    assert len(names) == 3


def test_an_object_in_two_places_is_one_object_after_loading() -> None:
    vote = VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft")
    bundle = bundle_of(fitted(vote), people()[0])
    loaded = loads(dumps(bundle)[1]).estimator[-1]
    assert loaded.named_estimators_["a"] is loaded.estimators_[0]
    assert loaded.estimators_[0] is not loaded.estimators_[1]


def test_memory_addresses_do_not_reach_the_archive() -> None:
    members = canonical_skops.canonical_members(skops.io.dumps(boosted().estimator))
    schema = json.loads(members["schema.json"])
    numbers = {node["__id__"] for node in canonical_skops._nodes(schema) if "__id__" in node}
    assert all(number < 1000 for number in numbers)
    assert all(name == "schema.json" or len(name.split(".")[0]) == 5 for name in members)
    assert "_skops_version" not in schema


class Coin:
    """A user's own model, which says the same of everybody."""

    def __init__(self, chance: float) -> None:
        self.chance, self.classes_ = chance, np.array([0, 1])

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return np.tile([1 - self.chance, self.chance], (len(frame), 1))


def double(x: Any) -> Any:
    """A user's own function."""
    return x * 2


def test_a_type_that_is_not_trusted_is_refused_at_saving_and_at_loading_by_name() -> None:
    frame, _ = people()
    bundle = bundle_of(Coin(0.25), frame)
    name = f"{__name__}.Coin"
    with pytest.raises(BundleError, match="not trusted") as caught:
        dumps(bundle)
    assert name in str(caught.value) and f"trusted=['{name}']" in str(caught.value)
    saved, data = dumps(bundle, trusted=[Coin])
    with pytest.raises(BundleError, match="not trusted"):
        loads(data, saved)
    assert loads(data, saved, trusted=[name]).predict(frame).tolist() == [0.25] * len(frame)


def test_functions_need_trust_and_lambdas_a_name() -> None:
    frame, label = people()
    numbers = frame[["visits"]]

    def of(function: Callable[[Any], Any]) -> Any:
        return bundle_of(
            make_pipeline(FunctionTransformer(function), LogisticRegression()).fit(numbers, label), numbers
        )

    assert dumps(of(double), trusted=[f"{__name__}.double"])[0]
    with pytest.raises(BundleError, match="lambda"):
        dumps(of(lambda x: x))
    with pytest.raises(BundleError, match="cannot be built"):
        dumps(of(lambda x: x), trusted=[f"{__name__}.<lambda>"])


def test_a_model_that_cannot_be_saved_says_so() -> None:
    model = fitted(LogisticRegression())
    model.me = model
    with pytest.raises(BundleError, match="cannot be saved"):
        dumps(bundle_of(model, people()[0]))


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_any_flipped_byte_is_noticed() -> None:
    name, data = dumps(logistic())
    members = members_of(data)
    for member, content in members.items():
        for place in np.linspace(0, len(content) - 1, 9).astype(int):
            changed = bytearray(content)
            changed[place] ^= 0x11
            try:
                loaded = loads(canonical_skops.pack({**members, member: bytes(changed)}, compress=True), name)
            except BundleError:
                continue
            # What is outside the id cannot change what the model says.
            assert member in ("manifest.json", "output_example.json", "input_example.parquet", "model.skops")
            assert np.array_equal(loaded.predict(people()[0]), logistic().predict(people()[0]))


def test_every_byte_of_the_file_that_is_read_is_checked() -> None:
    name, data = dumps(logistic())
    for place in range(0, len(data), 61):
        changed = bytearray(data)
        changed[place] ^= 0x40
        try:
            loaded = loads(bytes(changed), name)
        except BundleError:
            continue
        assert dumps(loaded) == (name, data)


def test_truncated_foreign_and_crammed_files_are_refused() -> None:
    name, data = dumps(logistic())
    members = members_of(data)
    lacking = {k: v for k, v in members.items() if k != "output_example.json"}
    for bad in (b"", b"PK", data[:-30], data[:200], canonical_skops.pack(lacking)):
        with pytest.raises(BundleError, match="damaged"):
            loads(bad, name)
    with pytest.raises(BundleError, match="damaged"):
        loads(canonical_skops.pack({**members, "extra.txt": b"x"}), name)
    with pytest.raises(BundleError, match="not what its id says"):
        loads(dumps(boosted())[1], name)


def test_another_format_names_the_fix() -> None:
    members = members_of(dumps(logistic())[1])
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, "format": 99}).encode()
    with pytest.raises(BundleError, match="format 99") as caught:
        loads(canonical_skops.pack(members))
    assert "version of mlpipe that wrote it" in str(caught.value)


def test_a_model_that_no_longer_predicts_the_same_is_refused_with_its_versions() -> None:
    name, data = dumps(logistic())
    members = members_of(data)
    then = json.loads(members["output_example.json"])["predictions"]
    members["output_example.json"] = json.dumps({"predictions": [then[0] + 0.001, *then[1:]]}).encode()
    with pytest.raises(BundleError, match="no longer predicts") as caught:
        loads(canonical_skops.pack(members), name)
    assert "scikit-learn" in str(caught.value)


def crafted(change: Callable[[Any], None], model: Any) -> bytes:
    """A bundle whose estimator was changed after it was fitted, as somebody who crafts a file would."""
    bundle = bundle_of(fitted(model), people()[0])
    members = members_of(dumps(bundle)[1])
    change(bundle.estimator[-1])
    skops_members = canonical_skops.canonical_members(skops.io.dumps(bundle.estimator))
    return canonical_skops.pack({**members, "model.skops": canonical_skops.pack(skops_members)})


def _child(model: Any) -> None:
    nodes = model.tree_.__getstate__()["nodes"]
    nodes["left_child"][0] = 10**6
    model.tree_.__setstate__({**model.tree_.__getstate__(), "nodes": nodes})


def _feature(model: Any) -> None:
    nodes = model.tree_.__getstate__()["nodes"]
    nodes["feature"][0] = 10**6
    model.tree_.__setstate__({**model.tree_.__getstate__(), "nodes": nodes})


def _circle(model: Any) -> None:
    nodes = model.tree_.__getstate__()["nodes"]
    nodes["left_child"][0] = 0
    model.tree_.__setstate__({**model.tree_.__getstate__(), "nodes": nodes})


def _member_feature(model: Any) -> None:
    model.n_features_in_ = 2


def _neighbours(model: Any) -> None:
    state = list(model._tree.__getstate__())
    state[1] = state[1] + 10**6
    model._tree.__setstate__(tuple(state))


@pytest.mark.parametrize(
    ("change", "model"),
    [
        (_child, DecisionTreeClassifier()),
        (_feature, DecisionTreeClassifier()),
        (_circle, DecisionTreeClassifier()),
        (_member_feature, RandomForestClassifier(3)),
        (_member_feature, GradientBoostingClassifier(n_estimators=2)),
        (_neighbours, KNeighborsClassifier(algorithm="kd_tree")),
    ],
)
def test_crafted_positions_are_refused_before_they_are_followed(
    change: Callable[[Any], None], model: Any
) -> None:
    with pytest.raises(BundleError, match="outside its own tables"):
        loads(crafted(change, model))


def test_crafted_histogram_trees_are_refused() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    def child(model: Any) -> None:
        model._predictors[0][0].nodes["left"][0] = 10**6

    def feature(model: Any) -> None:
        model._predictors[1][0].nodes["feature_idx"][0] = 10**6

    for change in (child, feature):
        with pytest.raises(BundleError, match="histogram tree"):
            loads(crafted(change, HistGradientBoostingClassifier(max_iter=2)))


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.filterwarnings("ignore")
def test_every_estimator_of_scikit_learn_that_fits_can_be_saved(kind: str) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(np.abs(random.normal(size=(40, 3))), columns=list("abc"))
    label = (frame["a"] > frame["b"]).astype(int) if kind == "classifier" else frame["a"] + 0.1
    changes = {} if kind == "classifier" else {"task": "regression", "classes": (), "positive": None}
    saved, refused = [], []
    for name, estimator in all_estimators(type_filter=kind):
        try:
            model = estimator()
            few = {"n_estimators": 2, "max_iter": 5}
            model.set_params(**{k: v for k, v in few.items() if k in model.get_params()})
            with threadpool_limits(limits=1):
                model.fit(frame, label)
            bundle = bundle_of(model, frame, **changes)
            bundle.predict(frame)
        except (TypeError, ValueError, DataError):
            continue  # needs an argument, another shape, or gives no probabilities
        try:
            dumps(bundle)
            saved.append(name)
        except BundleError as error:
            refused.append(f"{name}: {error}")
    assert refused == []
    assert len(saved) > 20


def test_text_models_do_not_depend_on_the_order_of_a_set() -> None:
    model = CountVectorizer().fit(["beta alpha", "gamma alpha"])
    first = canonical_skops.canonical_members(skops.io.dumps(model))
    model.vocabulary_ = dict(reversed(model.vocabulary_.items()))
    assert canonical_skops.canonical_members(skops.io.dumps(model)) == first


def test_the_order_of_a_set_does_not_matter() -> None:
    first, second = [0, 8], [8, 0]
    assert list(set(first)) != list(set(second))  # they collide in a table of eight
    archives = [
        canonical_skops.canonical_members(skops.io.dumps({"s": set(order)})) for order in (first, second)
    ]
    assert archives[0] == archives[1]


def test_padding_between_fields_is_zeroed() -> None:
    kind = np.dtype({"names": ["a", "b"], "formats": ["<i8", "u1"], "offsets": [0, 8], "itemsize": 16})
    archives = []
    for filler in (0x00, 0xAB):
        raw = np.full(48, filler, dtype=np.uint8).view(kind)
        raw["a"], raw["b"] = [1, 2, 3], [4, 5, 6]
        archives.append(canonical_skops.canonical_members(skops.io.dumps({"nodes": raw})))
    assert archives[0] == archives[1]
    assert np.load(io.BytesIO(archives[0]["00000.npy"]))["a"].tolist() == [1, 2, 3]
