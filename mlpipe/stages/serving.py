"""Who answers on a day: the champion, what stands in for it, or nobody. Decided from what is known before the day is scored."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.sla import SERVED, Indicator, Verdict, judged
from mlpipe.errors import DataError, MlpipeError, TransientError
from mlpipe.ledger.fold import State
from mlpipe.records.record import Found, Input
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened
from mlpipe.stages.context import Context
from mlpipe.stages.indicators import Day, Value, asked, before, history, validated
from mlpipe.stages.train import rule_scores
from mlpipe.stores.bundles import Bundle

BLOCK, FALL_BACK = "block scoring", "fall back"


@dataclass(frozen=True)
class Guard:
    """What stands between a day and its champion.

    Attributes
    ----------
    indicators
        What is asked before scoring, by name.
    known
        What validation told.
    standing
        Indicators of the champion's days that ask to fall back and were missed when last known, each with that day.
    previous
        The champion before, where it is asked to stand in.
    read
        What was read to know all this.
    """

    indicators: Mapping[str, Indicator]
    known: Mapping[str, Value]
    standing: Mapping[str, Day]
    previous: Champion | None = None
    read: tuple[Input, ...] = ()

    def params(self, spec: PipelineSpec) -> dict[str, Any]:
        """What of it decides a day's result."""
        return {
            "asked": {n: [str(i), i.severity, i.response, i.named] for n, i in self.indicators.items()},
            "known": {n: v.number for n, v in self.known.items()},
            "standing": {n: d.key for n, d in self.standing.items()},
            "fallback": spec.levels.fallback,
            "previous": None if self.previous is None else self.previous.number,
        }


def guard(spec: PipelineSpec, key: str, state: State, champion: Champion | None, ctx: Context) -> Guard:
    """The guard of one partition.

    Raises
    ------
    DataError
        What the pipeline names to stand in cannot, for a champion of this kind.
    """
    every = asked(spec, champion.bundle.task if champion is not None else None)
    early = {n for n, o in spec.levels.own.items() if o.reads == ("features",)} | set(SERVED)
    known, read = validated(spec, key, ctx)
    late = [n for n, i in every.items() if n not in early and i.response == FALL_BACK]
    standing: dict[str, Day] = {}
    previous = None
    if champion is not None:
        _check(spec, champion)
        days = history(spec, before(spec, key), ctx) if late else ()
        standing = _standing(days, late, champion.number)
        if any(i.response == FALL_BACK for i in every.values()) and spec.levels.fallback == "previous":
            previous = opened(spec, state.previous_champion, ctx)
    read += tuple(d.read for d in {d.key: d for d in standing.values()}.values())
    if previous is not None:
        read += (
            Input(
                asset=f"{spec.name}/production",
                partition=str(previous.number),
                record=previous.model.id,
                name="previous",
                id=previous.version.bundle,
            ),
        )
    return Guard({n: i for n, i in every.items() if n in early}, known, standing, previous, read)


def _standing(days: Sequence[Day], names: Sequence[str], version: int) -> dict[str, Day]:
    """Of some indicators those that were missed when they were last known of this version.

    What is unknown since changes nothing: while another answers, nothing new is learned of the champion.
    """
    found: dict[str, Day] = {}
    for day in days:
        for name in names if day.version == version else ():
            state = day.states.get(name, "unknown")
            if state == "missed":
                found[name] = day
            elif state == "met":
                found.pop(name, None)
    return found


def _check(spec: PipelineSpec, champion: Champion) -> None:
    stand, task = spec.levels.fallback, champion.bundle.task
    number = isinstance(stand, (int, float))
    wrong = (
        f"{stand!r} cannot stand in for a model of several classes"
        if task == "multiclass" and (number or stand == "rule")
        else f"{stand} is no probability, and cannot stand in for a classifier"
        if task == "binary" and number and not 0 <= float(stand) <= 1
        else ""
    )
    if wrong:
        fix = (
            "Name another: previous, constant, off"
            + ("" if task == "multiclass" else ", or a number in [0, 1]")
            + "."
        )
        raise DataError(wrong, where=f"pipeline {spec.name}, levels.fallback", fix=fix)


@dataclass(frozen=True)
class Answer:
    """What was answered on a day.

    Attributes
    ----------
    scores
        One a row (one a class and row where there are several classes); None where nobody answers.
    bundle
        Whose threshold and classes hold for the scores.
    version
        Number of the version that answered; 0 where none did.
    model
        Id of what answered: of a bundle, or of what stood in for it.
    served
        Who answered and why; empty where it was the champion, and nothing asked for another.
    findings
        A sentence for each indicator that was missed, and for what could not stand in.
    """

    scores: np.ndarray | None
    bundle: Bundle
    version: int
    model: str
    served: Mapping[str, Any]
    findings: tuple[Found, ...] = ()


def levels_of(verdicts: Sequence[Verdict]) -> dict[str, list[Any]]:
    """Values and states by indicator."""
    return {
        v.indicator.name: [v.value if v.value is not None and math.isfinite(v.value) else None, v.state]
        for v in verdicts
    }


def early(guarded: Guard, values: Mapping[str, Value]) -> tuple[Verdict, ...]:
    """What is asked before scoring, judged; of what was not looked at nothing is known."""
    seen = {**guarded.known, **values}
    numbers = {n: seen[n].number if n in seen else None for n in guarded.indicators}
    return judged(numbers, guarded.indicators, chances={n: v.chance for n, v in seen.items()})


def unknown(verdicts: Sequence[Verdict], values: Mapping[str, Value]) -> dict[str, str]:
    """Why some of what was asked is not known, by indicator."""
    told = {
        v.indicator.name: values[v.indicator.name]
        for v in verdicts
        if v.state == "unknown" and v.indicator.name in values
    }
    return {n: why for n, v in told.items() if (why := v.why or v.doubt)}


def missed(verdicts: Sequence[Verdict], fixes: str = "") -> tuple[Found, ...]:
    """A sentence for each indicator that was missed."""
    return tuple(
        Found(
            what=f"{v.indicator.name} is {v.value:.4g}, asked is {v.indicator.asked} ({v.indicator.severity}): {v.response}",
            where=f"level {v.indicator.name}",
            fix=fixes,
        )
        for v in verdicts
        if v.state == "missed"
    )


def answered(
    spec: PipelineSpec,
    key: str,
    champion: Champion,
    guarded: Guard,
    verdicts: tuple[Verdict, ...],
    rows: pd.DataFrame,
    score: Callable[[], np.ndarray],
) -> Answer:
    """Who answers, and what. `score` gives the champion's scores, and is called where the champion answers."""
    findings, bundle, number = missed(verdicts), champion.bundle, champion.number
    model = champion.version.bundle
    blocking = [v.indicator.name for v in verdicts if v.response == BLOCK]
    if blocking:
        return Answer(None, bundle, 0, model, _served("nobody", BLOCK, blocking, {}), findings)
    asking = [v.indicator.name for v in verdicts if v.response == FALL_BACK]
    if not asking and not guarded.standing:
        return Answer(score(), bundle, number, model, {}, findings)
    since = {n: d.key for n, d in guarded.standing.items()}
    served = partial(_served, response=FALL_BACK, names=list(dict.fromkeys([*asking, *since])), since=since)
    findings += tuple(
        Found(
            what=f"{name} of `{spec.name}@{number}` was missed on {day} and not met since: {FALL_BACK}",
            where=f"level {name}",
        )
        for name, day in since.items()
    )
    try:
        by, scores, bundle, version = _stand_in(spec, key, champion, guarded, rows)
    except TransientError:
        raise
    except MlpipeError as error:
        why = f"nothing stands in for `{spec.name}@{number}`, and it answers itself: {error.what}"
        found = Found(what=why, where="levels.fallback", fix=error.fix or "Name another fallback.")
        return Answer(score(), champion.bundle, number, model, served("champion"), (*findings, found))
    stand = guarded.previous.version.bundle if by == "previous" and guarded.previous else f"{model}/{by}"
    return Answer(scores, bundle, version, stand, served(by), findings)


def _served(by: str, response: str, names: Sequence[str], since: Mapping[str, str]) -> dict[str, Any]:
    return {"by": by, "response": response, "for": list(names), **({"since": dict(since)} if since else {})}


def _stand_in(
    spec: PipelineSpec, key: str, champion: Champion, guarded: Guard, rows: pd.DataFrame
) -> tuple[str, np.ndarray | None, Bundle, int]:
    """Who stands in, the scores, whose threshold and classes hold, and the number of the version; 0 for none."""
    stand, bundle = spec.levels.fallback, champion.bundle
    if stand == "off":
        return "nobody", None, bundle, 0
    if stand == "previous":
        return _previous(champion, guarded.previous, rows)
    if stand == "rule":
        scores = rule_scores(spec, rows[list(bundle.feature_names)], key)
        return "rule", scores, _cut(bundle, "rule_threshold"), 0
    if stand == "constant":
        constant = np.asarray(bundle.extra["constant"], dtype="float64")
        several = bundle.task == "multiclass"
        flat = np.tile(constant, (len(rows), 1)) if several else np.full(len(rows), float(constant))
        return "constant", flat, _cut(bundle, "constant_threshold"), 0
    return "constant", np.full(len(rows), float(stand)), bundle, 0


def _cut(bundle: Bundle, name: str) -> Bundle:
    """The bundle with the threshold that was chosen for one of its baselines."""
    return replace(bundle, threshold=bundle.extra.get(name, bundle.threshold))


def _previous(
    champion: Champion, previous: Champion | None, rows: pd.DataFrame
) -> tuple[str, np.ndarray, Bundle, int]:
    fix = "Name another fallback: rule, constant, off."
    if previous is None:
        raise DataError("there was no champion before it", fix=fix)
    bundle, number = previous.bundle, previous.number
    if bundle.task != champion.bundle.task or bundle.classes != champion.bundle.classes:
        raise DataError(f"version {number} predicts something else", fix=fix)
    gone = [n for n in bundle.feature_names if n not in rows]
    if gone:
        raise DataError(f"version {number} needs the feature {gone[0]!r}, which is no longer made", fix=fix)
    return "previous", bundle.predict(rows[list(bundle.feature_names)]), bundle, number
