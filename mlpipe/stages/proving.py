"""Checks of a smoke test that look at the model: that it learns, is of use, and comes back from the store as it was."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlpipe.core.curve import fall
from mlpipe.errors import BundleError
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import MetricValue
from mlpipe.stages import evaluate, train
from mlpipe.stages.curves import STAGED
from mlpipe.stages.malformed import put_before
from mlpipe.stages.runner import Result, Stage, threads
from mlpipe.stages.trial import Answer, Kept, NotApplicableError, Trial
from mlpipe.stores.bundles import Bundle
from mlpipe.stores.threads import limited

FEW_ROWS, FEW_OF_A_CLASS = 30, 5
"""With fewer rows to judge on, or fewer of every class but one, nothing is said about the constant answer."""
SEED = "Give every part of the model a random_state, and seed whatever draws numbers in a 'fit' function."
LOSSES = ("loss", "error", "deviance", "rmse", "mse", "mae", "nll")
LOGGED = ("log", "evals", STAGED)
"""Curves whose values have names that tell what they are."""


def training(trial: Trial) -> Answer:
    """A model learns from the sample."""
    if trial.data is None or not len(trial.data.rows):
        raise NotApplicableError("no row has both features and a label")
    assert trial.chosen is not None
    declared, window = trial.declared, trial.chosen
    if not trial.whole:
        least = min(declared.min_rows, max(2, trial.rows // 4))
        trial.spec = trial.spec.model_copy(update={"min_rows": least})
    with Kept() as kept:
        result = _worked(trial, train.STAGE)
    if isinstance(kept.error, BundleError) and trial.store.drafts:
        trial.refused = kept.error
    elif kept.error is not None:
        raise kept.error
    elif result.verdict == "refused":
        return Answer("failed", f"no model: {result.data['refused']}.", _more(trial))
    else:
        trial.trained = result
    trial.model = model = trial.store.drafts[-1]
    guess = trial.known / max(1, len(trial.read)) * len(window.data)
    if guess < declared.min_rows:
        text = (
            f"a window holds about {guess:,.0f} labelled rows, and {declared.min_rows:,} are asked (min_rows)"
        )
        return Answer("failed", f"{text}.")
    count = f"{len(model.features)} features"
    learned = f"{result.data['rows']['train']:,} rows and {count}" if trial.trained else count
    return Answer("ok", f"{model.task} model learned from {learned}.")


def _more(trial: Trial) -> tuple[str, ...]:
    return (
        ()
        if trial.whole or trial.different < 2
        else (f"The sample has {trial.rows:,} row{'s' if trial.rows > 1 else ''}: --rows takes more.",)
    )


def _worked(trial: Trial, stage: Stage) -> Result:
    """A stage's work for the partition of the trial, never one that was done before."""
    assert trial.chosen is not None
    (plan,) = stage.plans(trial.spec, [trial.chosen.key], trial.ctx)
    with limited(threads()):
        return plan.work()


def _model(trial: Trial) -> Bundle:
    if trial.model is None:
        raise NotApplicableError("no model came out of the training")
    return trial.model


def baseline(trial: Trial) -> Answer:
    """Rows that were held out are predicted better than by the best constant answer."""
    model = _model(trial)
    result = _judged(trial)
    if result.verdict == "no_labels":
        raise NotApplicableError(f"nothing can be judged: {result.findings[0].what}")
    primary = str(result.data["primary"])
    ours, theirs = (_metric(result.metrics, primary, split) for split in ("test", "constant"))
    (scored,) = result.outputs
    few = _too_few(model.task, trial.store.get_table(scored.id, ["y"])["y"].to_numpy())
    ends = "" if ours.low is None or ours.low != ours.low else f" [{ours.low:.3g}, {ours.high:.3g}]"
    seen = f"{primary} is {ours.value:.4g}{ends} on {result.data['rows']:,} rows held out, "
    seen += f"and {theirs.value:.4g} for the best constant answer"
    lift = result.data["lift"]["constant"]
    if few or lift is None:
        why = few or f"{primary} is undefined for one of them"
        return Answer("not applicable", f"{why}, too little to tell; {seen}.", _more(trial))
    if lift <= 0:
        return Answer("failed", f"{seen}: the model is not better.", _more(trial))
    low, high = (ours.value, ours.value) if not ends else (ours.low or 0.0, ours.high or 0.0)
    chance = "; on so few rows that may be chance" if low <= theirs.value <= high else ""
    return Answer("ok", f"{seen}{chance}.")


def _judged(trial: Trial) -> Result:
    if trial.trained is None:
        raise NotApplicableError("the model could not be stored")
    assert trial.chosen is not None
    trial.ctx.heads.add(
        Head(
            asset=f"{trial.spec.name}/model",
            partition=trial.chosen.key,
            record="",
            outputs={o.name: o for o in trial.trained.outputs},
            verdict=trial.trained.verdict,
            data=trial.trained.data[HEAD_DATA],
        )
    )
    return _worked(trial, evaluate.STAGE)


def _metric(metrics: Sequence[MetricValue], name: str, split: str) -> MetricValue:
    return next(m for m in metrics if m.name == name and m.split == split)


def _too_few(task: str, y: np.ndarray) -> str:
    """Why rows held out cannot tell whether a model is of use; empty when they can."""
    if len(y) < FEW_ROWS:
        return f"{len(y)} rows are held out"
    if task == "regression":
        return ""
    second = np.sort(np.bincount(y.astype("int64"), minlength=2))[-2]
    return f"of all classes but one {second} rows or fewer are held out" if second < FEW_OF_A_CLASS else ""


def loss_curve(trial: Trial) -> Answer:
    """The loss falls while the model learns."""
    model = _model(trial)
    if trial.trained is None:
        raise NotApplicableError("the model could not be stored, and its curves with it")
    curves = {o.name: trial.store.get_json(o.id) for o in trial.trained.curves}
    if not curves:
        raise NotApplicableError("the model keeps no curve, and its fit function logs none")
    found = losses(curves, model.estimator)
    if not found:
        names = sorted({k for points in curves.values() for p in points for k in p} - {"step"})
        raise NotApplicableError(f"there is no loss among what was logged: {', '.join(names)}")
    told, status = [], "ok"
    for name, values in found.items():
        rises, sentence = fall(values)
        told.append(f"{name} {sentence}")
        status = "failed" if rises else status
    if all(len(v) < 3 for v in found.values()):
        return Answer("not applicable", f"{'; '.join(told)}.")
    return Answer("failed" if status == "failed" else "ok", f"{'; '.join(told)}.")


def losses(
    curves: Mapping[str, Sequence[Mapping[str, float | None]]], estimator: Any
) -> dict[str, list[float]]:
    """Values by step of each curve that should fall; those of training rows alone where there are any.

    Parameters
    ----------
    curves
        By name, as they lie in the store: points with ``step`` and values; a null is no finite number.
    estimator
        Boosting by histogram keeps scores, which rise, where others keep losses.
    """
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    found: dict[str, list[float]] = {}
    for curve, points in curves.items():
        for name in dict.fromkeys(k for p in points for k in p if k != "step"):
            values = [np.nan if p[name] is None else float(p[name] or 0.0) for p in points if name in p]
            if curve == "train_score":
                sign = -1.0 if hasattr(last, "do_early_stopping_") else 1.0
                found["training loss"] = [sign * v for v in values]
            elif curve == "loss_curve" or (curve in LOGGED and any(w in name.lower() for w in LOSSES)):
                found["loss_curve" if curve == "loss_curve" else name] = values
    own = {n: v for n, v in found.items() if not any(w in n.lower() for w in ("val", "test"))}
    return own or found


def predictions(trial: Trial) -> Answer:
    """Every row of the sample gets a finite score."""
    model = _model(trial)
    assert trial.data is not None
    scores = model.predict(trial.data.rows)
    low, high = float(scores.min()), float(scores.max())
    text = f"{len(scores):,} rows have finite scores, from {low:.4g} to {high:.4g}"
    if model.task != "regression" and not (low >= 0 and high <= 1):
        return Answer("failed", f"{text}: no probabilities.")
    same = np.ptp(scores, axis=0).max() == 0
    return Answer("warning" if same else "ok", f"{text}{': every row gets the same' if same else ''}.")


def bundle(trial: Trial) -> Answer:
    """The model comes back from the store, and predicts the same."""
    model = _model(trial)
    if trial.refused is not None:
        raise trial.refused
    assert trial.trained is not None and trial.data is not None
    stored = next(o for o in trial.trained.outputs if o.name == "bundle")
    loaded = trial.store.get_bundle(stored.id, trusted=trial.spec.model.trusted)
    apart = _apart(model, loaded, trial)
    text = f"{stored.id} ({stored.bytes / 1000:,.0f} kB) is loaded again"
    if apart:
        return Answer("failed", f"{text}, and its scores differ by up to {apart:.3g}.")
    return Answer("ok", f"{text}, and scores {len(trial.data.rows):,} rows the same.")


def _apart(one: Bundle, other: Bundle, trial: Trial) -> float:
    """The greatest difference of two models' scores on the sample; infinite where they have different classes."""
    assert trial.data is not None
    first, second = one.predict(trial.data.rows), other.predict(trial.data.rows)
    return float(np.abs(first - second).max()) if first.shape == second.shape else np.inf


def malformed(trial: Trial) -> Answer:
    """Rows as nobody should send them are answered, or refused in words."""
    model = _model(trial)
    assert trial.data is not None
    heard = put_before(model, trial.data.rows)
    wrong = [h for h in heard if h.wrong]
    answered = sum(h.answered for h in heard)
    text = f"{len(heard)} kinds were tried: {answered} answered, {len(heard) - answered} refused"
    if not wrong:
        return Answer("ok", f"{text} in words.")
    return Answer("failed", f"{text}, {len(wrong)} wrongly.", tuple(f"{h.name}: {h.wrong}" for h in wrong))


def repeated(trial: Trial) -> Answer:
    """Learning again from the same rows gives the same model."""
    model = _model(trial)
    with Kept() as kept:
        result = _worked(trial, train.STAGE)
    if kept.error is not None and trial.refused is None:
        raise kept.error
    again = trial.store.drafts[-1]
    if trial.refused is None and trial.trained is not None:
        if result.outputs[0].id == trial.trained.outputs[0].id:
            return Answer("ok", f"a second training gave {result.outputs[0].id} again.")
    different = list(_differences(model, again, trial))
    if not different and trial.refused is not None:
        return Answer("ok", "a second training gave a model that scores the same; neither could be stored.")
    if not different:
        different = ["it scores the same, and holds something that changes from one training to the next"]
    return Answer("failed", f"a second training gave another model: {'; '.join(different)}.", (SEED,))


def _differences(one: Bundle, other: Bundle, trial: Trial) -> list[str]:
    apart = _apart(one, other, trial)
    found = [f"scores differ by up to {apart:.3g}"] if apart else []
    for name in ("features", "classes", "threshold"):
        first, second = getattr(one, name), getattr(other, name)
        if first != second:
            found.append(f"{name} was {first}, then {second}")
    return found


PROOFS: tuple[tuple[str, Callable[[Trial], Answer]], ...] = (
    ("training", training),
    ("baseline", baseline),
    ("loss curve", loss_curve),
    ("predictions", predictions),
    ("bundle", bundle),
    ("malformed rows", malformed),
    ("repeated", repeated),
)
"""Checks of the model, in order."""
