"""The ladder of the frozen world: a rule, a logistic model on three features, a forest set by hand, tuned boosting; F1 by segment.

Each is judged on the same three months by mlpipe's own metrics, threshold rules and bootstrap over days; whether a rung is higher than the
one below it is a paired comparison. `python ladder.py 3000` prints that of a smaller world, `--json` for machines.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from tunekeep import data, models

from mlpipe.core.bootstrap import Interval, Paired, interval, paired
from mlpipe.core.metrics import evaluate
from mlpipe.core.scored import Scored
from mlpipe.core.split import PARTS, assign, temporal
from mlpipe.core.threshold import choose
from mlpipe.stages.estimators import preprocessing

FROM, UNTIL = datetime(2024, 7, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
TEST, VALID, EMBARGO = timedelta(days=92), timedelta(days=28), timedelta(days=30)
SEGMENTS = ("all", *data.SEGMENTS)
METRIC, RESAMPLES, SEED = "f1", 500, 0


@dataclass(frozen=True)
class Rung:
    """One way to tell, judged: F1 by segment with its interval over days, and the paired difference to the rung below."""

    name: str
    rows: dict[str, int]
    f1: dict[str, float]
    intervals: dict[str, Interval]
    lift: Paired | None


def ladder(rows: pd.DataFrame) -> list[Rung]:
    """The four rungs on the looks of `tunekeep.data.snapshots`, from the plainest up."""
    codes = assign(rows["asked_at"], temporal(FROM, UNTIL, valid=VALID, test=TEST, embargo=EMBARGO))
    train, valid, test = (rows[codes == PARTS[p]].reset_index(drop=True) for p in ("train", "valid", "test"))
    days = test["asked_at"].dt.strftime("%Y-%m-%d").to_numpy()
    masks = {s: (test["segment"] == s).to_numpy() | (s == "all") for s in SEGMENTS}
    rungs: list[Rung] = []
    below: Scored | None = None
    for name, chosen_by, scores in _scores(train, valid, test):
        cut = choose(valid["churned"], chosen_by, "max_f1").value
        judged = {s: Scored(test["churned"].to_numpy()[m], scores[m], cut, (0, 1)) for s, m in masks.items()}
        rungs.append(
            Rung(
                name,
                {s: int(m.sum()) for s, m in masks.items()},
                {s: evaluate(j, [METRIC])[METRIC] for s, j in judged.items()},
                {
                    s: interval(j, METRIC, days[masks[s]], resamples=RESAMPLES, seed=SEED)
                    for s, j in judged.items()
                },
                None
                if below is None
                else paired(judged["all"], below, METRIC, days, resamples=RESAMPLES, seed=SEED),
            )
        )
        below = judged["all"]
    return rungs


def _scores(
    train: pd.DataFrame, valid: pd.DataFrame, test: pd.DataFrame
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name of each rung, its scores of the rows that choose the threshold, and of those that judge."""
    yield "no play for 14 days", models.rule(valid).to_numpy(), models.rule(test).to_numpy()
    for name, model, columns in (
        ("logistic on three", models.LOGISTIC, models.THREE),
        ("forest set by hand", models.FOREST, models.FEATURES),
        ("tuned boosting", models.BOOSTING, models.FEATURES),
    ):
        wanted = list(columns)
        kinds = [(c, "float64" if pd.api.types.is_numeric_dtype(train[c]) else "str") for c in wanted]
        # What mlpipe puts before a model of a pipeline, so that a rung is what a pipeline would learn.
        fitted = make_pipeline(preprocessing(model, train[wanted], kinds), clone(model))
        fitted.fit(train[wanted], train["churned"])
        yield name, *(fitted.predict_proba(part[wanted])[:, 1] for part in (valid, test))


def table(rungs: list[Rung]) -> str:
    """The ladder as text."""
    wide = 23
    looks = f"F1 on {rungs[0].rows['all']:,} looks"
    lines = [looks.ljust(wide) + "".join(s.ljust(wide) for s in SEGMENTS) + "over the rung below"]
    for rung in rungs:
        bounds = (rung.intervals[s] for s in SEGMENTS)
        cells = [
            f"{f1:.3f} [{b.low:.3f}, {b.high:.3f}]" for f1, b in zip(rung.f1.values(), bounds, strict=True)
        ]
        lines.append("".join(cell.ljust(wide) for cell in (rung.name, *cells)) + _lift(rung.lift))
    return "\n".join(line.rstrip() for line in lines)


def _lift(lift: Paired | None) -> str:
    if lift is None:
        return ""
    noise = "" if lift.low > 0 or lift.high < 0 else ", within noise"
    return f"{lift.difference:+.3f} [{lift.low:+.3f}, {lift.high:+.3f}]{noise}"


def main() -> None:
    """Print the ladder."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("seats", type=int, nargs="?", default=data.SEATS, help="subscribers at any one time")
    asked.add_argument("--json", action="store_true", help="for machines")
    given = asked.parse_args()
    rungs = ladder(data.snapshots(given.seats))
    print(json.dumps([asdict(r) for r in rungs]) if given.json else table(rungs))


if __name__ == "__main__":
    main()
