"""Which types a model bundle may hold, and what their content must satisfy before they score.

skops can say that an object is of a trusted type, not that its content is safe. Trees and neighbour indices hold raw
positions that scikit-learn follows without looking at bounds, so a crafted file could crash the process or read
foreign memory. They are trusted here because `check_structures` looks at the bounds.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlpipe.errors import BundleError

_KERNELS = (
    "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Hyperparameter Matern PairwiseKernel "
    "Product RBF RationalQuadratic Sum WhiteKernel"
)
_SPLITS = (
    "GroupKFold GroupShuffleSplit KFold LeaveOneOut LeavePOut PredefinedSplit RepeatedKFold RepeatedStratifiedKFold "
    "ShuffleSplit StratifiedGroupKFold StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit _CVIterableWrapper"
)
_DISTANCES = (
    "ChebyshevDistance EuclideanDistance HammingDistance JaccardDistance ManhattanDistance MinkowskiDistance "
    "SEuclideanDistance"
)
_METRICS = (
    "_classification.accuracy_score _classification.balanced_accuracy_score _classification.f1_score "
    "_classification.fbeta_score _classification.log_loss _classification.matthews_corrcoef "
    "_classification.precision_score _classification.recall_score _ranking.average_precision_score "
    "_ranking.roc_auc_score _scorer._CurveScorer _scorer._PassthroughScorer _scorer._Scorer"
)
_SELECTION = (
    "_mutual_info.mutual_info_classif _mutual_info.mutual_info_regression _univariate_selection.chi2 "
    "_univariate_selection.f_classif _univariate_selection.f_regression _univariate_selection.r_regression"
)

TRUSTED: frozenset[str] = frozenset(
    {
        "mlpipe.stages.imputing.Imputer",
        "numpy.dtype",
        "numpy.mean",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        *(
            f"scipy.sparse._{kind}.{kind}_{form}"
            for kind in ("csr", "csc", "coo")
            for form in ("matrix", "array")
        ),
        *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS.split()),
        *(f"sklearn.model_selection._split.{name}" for name in _SPLITS.split()),
        *(
            f"sklearn.metrics._dist_metrics.{name}{bits}"
            for name in _DISTANCES.split()
            for bits in ("", "32", "64")
        ),
        *(f"sklearn.metrics.{name}" for name in _METRICS.split()),
        *(f"sklearn.feature_selection.{name}" for name in _SELECTION.split()),
    }
)
"""Types that a bundle may hold besides scikit-learn's public estimators, which skops trusts by itself."""


def type_names(trusted: Sequence[str | type]) -> frozenset[str]:
    """Full names of types that are given by name or as themselves."""
    return frozenset(t if isinstance(t, str) else f"{t.__module__}.{t.__name__}" for t in trusted)


def check_structures(estimator: Any) -> None:
    """Look at the bounds of every tree, neighbour index, sparse matrix and spline below an estimator.

    Raises
    ------
    BundleError
        Some position points outside its table: the file is damaged, or somebody made it to do harm.
    """
    from scipy.interpolate import BSpline
    from scipy.sparse import issparse
    from sklearn.ensemble import BaseEnsemble
    from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.tree._tree import Tree

    for thing in _walk(estimator):
        if isinstance(thing, Tree):
            _check_tree(thing, thing.n_features)
        elif isinstance(thing, TreePredictor):
            _check_predictor(thing, None)
        elif isinstance(thing, BaseHistGradientBoosting):
            _check_boosting(thing)
        elif isinstance(thing, KDTree | BallTree):
            _check_neighbours(thing)
        elif isinstance(thing, BSpline):
            _require(thing.t.ndim == 1 and len(thing.t) - thing.k - 1 in range(1, len(thing.c) + 1), "spline")
        elif issparse(thing) and hasattr(thing, "check_format"):
            _check_sparse(thing)
        elif hasattr(thing, "tree_") and hasattr(thing, "n_features_in_"):
            _check_tree(thing.tree_, thing.n_features_in_)
        elif isinstance(thing, BaseEnsemble) and not hasattr(thing, "estimators_features_"):
            for member in np.ravel(np.asarray(getattr(thing, "estimators_", []), dtype=object)):
                if hasattr(member, "tree_"):
                    _check_tree(member.tree_, thing.n_features_in_)


def _walk(root: Any) -> Iterator[Any]:
    seen: dict[int, Any] = {}
    stack = [root]
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | type | None):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, np.ndarray):
            stack.extend(thing.ravel().tolist() if thing.dtype == object else ())
            continue
        yield thing
        if isinstance(thing, dict):
            stack.extend(thing.values())
        elif isinstance(thing, list | tuple | set):
            stack.extend(thing)
        else:
            stack.extend(getattr(thing, "__dict__", {}).values())


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise BundleError(
            f"The model holds a {what} that points outside its own tables: the file is damaged or was crafted.",
            fix="Do not use it; restore the bundle from a backup or train again.",
        )


def _check_tree(tree: Any, n_features: int) -> None:
    count = tree.node_count
    _require(0 < count <= tree.capacity and tree.n_features == n_features, "decision tree")
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    own = np.arange(count)[inner]
    # Children come after their parents in every builder of scikit-learn, so there is no circle either.
    for child in (left[inner], right[inner]):
        _require(bool(((child > own) & (child < count)).all()), "decision tree")
    _require(bool(((feature[inner] >= 0) & (feature[inner] < n_features)).all()), "decision tree")


def _check_boosting(model: Any) -> None:
    n_features = model.n_features_in_
    _require(len(model._bin_mapper.is_categorical_) == n_features, "histogram tree")
    for predictor in (predictor for round_ in model._predictors for predictor in round_):
        _check_predictor(predictor, n_features)


def _check_predictor(predictor: Any, n_features: int | None) -> None:
    nodes = predictor.nodes
    _require(nodes.ndim == 1 and len(nodes) > 0, "histogram tree")
    own = np.arange(len(nodes))
    inner = nodes["is_leaf"] == 0
    for side in ("left", "right"):
        child = nodes[side][inner].astype(np.int64)
        _require(bool(((child > own[inner]) & (child < len(nodes))).all()), "histogram tree")
    feature = nodes["feature_idx"][inner]
    limit = np.iinfo(np.int64).max if n_features is None else n_features
    _require(bool(((feature >= 0) & (feature < limit)).all()), "histogram tree")
    bits = predictor.raw_left_cat_bitsets
    categorical = nodes["bitset_idx"][inner & (nodes["is_categorical"] == 1)]
    _require(
        bits.ndim == 2 and bits.shape[1] == 8 and bool((categorical < len(bits)).all()), "histogram tree"
    )


def _check_neighbours(tree: Any) -> None:
    data, order, nodes, bounds = (np.asarray(part) for part in tree.get_arrays())
    count, levels, declared = len(nodes), tree.__getstate__()[5], tree.__getstate__()[6]
    what = "neighbour index"
    _require(data.ndim == 2 and order.shape == (len(data),) and declared == count == 2**levels - 1, what)
    _require(bounds.ndim == 3 and bounds.shape[1:] == (count, data.shape[1]), what)
    _require(bool(((order >= 0) & (order < len(data))).all()), what)
    start, end = nodes["idx_start"], nodes["idx_end"]
    _require(bool(((start >= 0) & (start <= end) & (end <= len(data))).all()), what)
    childless = 2 * np.arange(count) + 2 >= count
    _require(bool((nodes["is_leaf"][childless] == 1).all()), what)


def _check_sparse(matrix: Any) -> None:
    try:
        matrix.check_format(full_check=True)
    except ValueError:
        _require(False, "sparse matrix")
