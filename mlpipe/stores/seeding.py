"""One seed for every random part of an estimator."""

from typing import Any


def seed_everything(estimator: Any, seed: int) -> Any:
    """A clone whose every `random_state` that is None is the seed.

    Covers steps of pipelines and column transformers, members of ensembles and the splitters of searches. A
    `random_state` that somebody set is kept. The given estimator is not touched.

    Parameters
    ----------
    estimator
        With scikit-learn's `get_params`; anything else is copied and returned as it is.
    seed
        In the range [0, 2**32).
    """
    from sklearn.base import clone

    copy = clone(estimator, safe=False)
    if not hasattr(copy, "get_params"):
        return copy
    params = copy.get_params(deep=True)
    unset = [
        name for name, value in params.items() if value is None and name.split("__")[-1] == "random_state"
    ]
    if unset:
        copy.set_params(**dict.fromkeys(unset, seed))
    for value in params.values():
        # Splitters have no get_params; `clone` has copied them, so they are ours to change.
        is_splitter = (
            hasattr(value, "split") and not hasattr(value, "get_params") and not isinstance(value, str)
        )
        if is_splitter and getattr(value, "shuffle", True) and getattr(value, "random_state", seed) is None:
            value.random_state = seed
    return copy
