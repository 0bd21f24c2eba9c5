"""Whether a curve falls, and what it says about the learning."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

FEWEST = 3


def fall(values: Sequence[float]) -> tuple[bool, str]:
    """Whether the last third of a curve fails to lie below its first, and one clause about it.

    Parameters
    ----------
    values
        By step. The mean of the last third is compared with that of the first: single steps go up and down.

    Returns
    -------
    bad : bool
        True when a value is not finite, and when the curve does not fall. Fewer than three values tell nothing, and are not bad.
    clause : str
        Without a subject, such as "falls from 0.69 to 0.42 in 100 steps".
    """
    points = np.asarray(values, dtype="float64")
    broken = np.flatnonzero(~np.isfinite(points))
    if len(broken):
        return True, f"is not finite from value {broken[0] + 1} of {len(points)} on"
    if len(points) < FEWEST:
        return False, f"has {len(points)} value{'' if len(points) == 1 else 's'}, too few to tell"
    third = len(points) // 3
    first, last = points[:third].mean(), points[-third:].mean()
    if last < first:
        return False, f"falls from {first:.4g} to {last:.4g} in {len(points)} steps"
    how = "stays at" if last == first else "rises from"
    return True, f"{how} {first:.4g}" + (
        "" if last == first else f" to {last:.4g}"
    ) + f" in {len(points)} steps"


# -- what a curve says ----------------------------------------------------------------------------------------------


Kind = Literal["diverged", "overfits", "improving", "flat", "converged", "short"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a curve may be called, what is worth most attention first."""
RISE, FALL, NEAR = 0.05, 0.01, 0.02
"""Shares of a curve's whole fall: a rise above the first is one, a fall below the second in the last tenth is none, and a value within
the third of the best is as good as the best."""
_LOWER = {"loss", "error", "deviance", "rmse", "mse", "mae", "mape", "nll", "logloss", "brier", "perplexity"}
_HIGHER = {"accuracy", "acc", "auc", "auroc", "f1", "precision", "recall", "score", "scores", "r2", "ap"}
_HELD_OUT = {"val", "valid", "validation", "test", "eval", "dev", "holdout"}


@dataclass(frozen=True)
class Judgement:
    """What one series of a curve says.

    Attributes
    ----------
    kind
        ``diverged``: not finite, or risen for good; ``overfits``: values of held-out rows worsen after their best; ``improving``: still
        so at the end; ``converged``; ``flat``: never improved; ``short``: fewer than three values.
    since
        The step from which that holds; None for ``improving`` and ``short``.
    best, best_step
        The best value and where it is; None without a finite value.
    clause
        Without a subject, such as "overfits since step 40: 0.31 there, 0.42 at the end".
    """

    kind: Kind
    since: float | None
    best: float | None
    best_step: float | None
    clause: str


def better_of(name: str) -> Literal["lower", "higher", ""]:
    """Which way is better, told by the words of a name such as ``valid_loss`` or ``roc_auc``; empty where none of them tells."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    if words & _LOWER:
        return "lower"
    return "higher" if words & _HIGHER else ""


def held_out(name: str) -> bool:
    """Whether a name speaks of rows that were not learned from."""
    return bool(set(re.split(r"[^a-z0-9]+", name.lower())) & _HELD_OUT)


def judge(
    steps: Sequence[float], values: Sequence[float], better: Literal["lower", "higher"], held: bool = False
) -> Judgement:
    """What a series says about the learning.

    Parameters
    ----------
    steps
        Shape (n,), in their order.
    values
        Shape (n,). Single values go up and down: means of a tenth of the curve are compared, and a rise counts only above the noise.
    better
        Which way is better.
    held
        Whether the values are of rows that were not learned from: only those can overfit.
    """
    given = np.asarray(values, dtype="float64")
    finite = np.isfinite(given)
    at = None
    if finite.any():
        turned = np.where(finite, given if better == "lower" else -given, np.inf)
        at = int(turned.argmin())
    best = None if at is None else float(given[at]), None if at is None else float(steps[at])
    if not finite.all():
        since = float(steps[int(np.flatnonzero(~finite)[0])])
        return Judgement("diverged", since, *best, f"diverged: not finite from step {since:g} on")
    if len(given) < FEWEST:
        return Judgement("short", None, *best, f"has {len(given)} values, too few to tell")
    kind, place = _shape(given if better == "lower" else -given, held)
    begun = None if place is None else float(steps[place])
    return Judgement(kind, begun, *best, _clause(kind, begun, given, best))


def _shape(losses: np.ndarray, held: bool) -> tuple[Kind, int | None]:
    """Kind of a finite series of which less is better, and the place from which it holds."""
    width = max(len(losses) // 10, 1)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    noise = float(np.std(np.diff(losses, 2))) / np.sqrt(6 * width) if width > 1 else 0.0
    lowest = int(smooth.argmin())
    fall, rise = float(smooth[0] - smooth[lowest]), float(smooth[-1] - smooth[lowest])
    tiny = 1e-9 * float(np.abs(losses).max())
    # A window of the smoothed curve is spoken of by its middle.
    middle = lowest + width // 2
    # The lowest of many means lies some deviations low by chance, and the end some high: of 20,000 series of mere noise none rose by eight.
    if rise > max(RISE * fall, 8 * noise, tiny):
        if held:
            return "overfits", middle
        if rise > max(0.5 * fall, tiny):
            return "diverged", middle
    if fall <= max(3 * noise, tiny):
        return "flat", 0
    last = float(smooth[-1 - width] - smooth[-1])
    if last > max(FALL * fall, 3 * noise):
        return "improving", None
    near = int(np.flatnonzero(smooth - smooth[lowest] <= NEAR * fall)[0])
    return "converged", near + width // 2


def _clause(
    kind: Kind, since: float | None, values: np.ndarray, best: tuple[float | None, float | None]
) -> str:
    first, last, steps = values[0], values[-1], len(values)
    if kind == "improving":
        return f"still improving at the end: {first:.4g} to {last:.4g} in {steps} steps"
    if kind == "flat":
        return f"flat: {first:.4g} to {last:.4g} in {steps} steps"
    if kind == "converged":
        return f"converged since step {since:g}: {first:.4g} to {last:.4g} in {steps} steps"
    return f"{kind} since step {since:g}: best {best[0]:.4g} at step {best[1]:g}, {last:.4g} at the end"


def thinned(
    steps: Sequence[float], values: Sequence[float], most: int = 60
) -> list[tuple[float, float | None]]:
    """At most `most` points of a curve, in their order: its ends, and the lowest and highest of each stretch between them.

    A value that is not finite is None.
    """
    points = np.asarray(values, dtype="float64")
    kept: set[int] = set(range(len(points)))
    if len(points) > most:
        kept = {0, len(points) - 1}
        for part in np.array_split(np.arange(1, len(points) - 1), max((most - 2) // 2, 1)):
            held = np.where(np.isfinite(points[part]), points[part], np.inf)
            kept |= {int(part[held.argmin()]), int(part[held.argmax()])}
    return [(float(steps[i]), float(points[i]) if np.isfinite(points[i]) else None) for i in sorted(kept)]
