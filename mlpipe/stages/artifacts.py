"""What a record keeps beside its numbers: what is drawn of a judged model, sample predictions, and the resolved configuration."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from mlpipe.core.judging import drawn, telling
from mlpipe.core.scored import Scored
from mlpipe.records.codec import coerce
from mlpipe.records.record import Output
from mlpipe.records.secrets import WITHHELD, named_secret, scrubbed
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.description import declared
from mlpipe.stages.frames import DAY, ROW, TIME
from mlpipe.stores.store import Put, Store

KIND = "report"
SAMPLES = 5
"""So many rows of each kind are kept as sample predictions."""
LONGEST = 200
"""Text of a cell is cut after so many characters: a sample is to be looked at."""
SHOWN = ("confusion", "calibration", "residuals")
"""What is small enough to stand in the event too."""


def of_judged(
    store: Store, scored: Scored, rows: pd.DataFrame, names: Sequence[str]
) -> tuple[tuple[Output, ...], dict[str, Any]]:
    """Objects about a judged model, and what of them is small enough for the event.

    Parameters
    ----------
    scored
        At least one row.
    rows
        The same rows: partition, row, time, features.
    names
        The model's features.

    Returns
    -------
    artifacts : tuple of Output
        ``confusion``, ``roc``, ``precision_recall`` and ``calibration``, or ``residuals``; and ``samples``.
    plots : dict
        For the record's `plots`.
    """
    found = drawn(scored)
    made = {**found, "samples": samples(scored, rows, names)}
    put = tuple(_output(name, store.put_json(value, KIND)) for name, value in made.items())
    return put, {name: found[name] for name in SHOWN if name in found}


def _output(name: str, put: Put) -> Output:
    return Output(name=name, id=put.id, rows=put.rows, bytes=put.bytes, sha256=put.sha256)


def samples(scored: Scored, rows: pd.DataFrame, names: Sequence[str], count: int = SAMPLES) -> Any:
    """A few predictions that tell most: ``right``, ``wrong`` and ``uncertain`` ones, with their features; secrets are withheld."""
    return {
        kind: [_sample(scored, rows, names, i) for i in places]
        for kind, places in telling(scored, count).items()
    }


def _sample(scored: Scored, rows: pd.DataFrame, names: Sequence[str], i: int) -> dict[str, Any]:
    row, classes = rows.iloc[i], [str(c) for c in scored.classes]
    told: dict[str, Any] = {"partition": row[DAY], "row": row[ROW], "time": row[TIME]}
    if scored.task == "regression":
        told |= {"truth": scored.y[i], "predicted": scored.score[i]}
    elif scored.task == "binary":
        cut = 0.5 if scored.threshold is None else scored.threshold
        guess = int(scored.score[i] >= cut)
        told |= {"truth": classes[scored.y[i]], "predicted": classes[guess], "score": scored.score[i]}
    else:
        told |= {
            "truth": classes[scored.y[i]],
            "predicted": classes[scored.labels[i]],
            "scores": dict(zip(classes, scored.score[i].tolist(), strict=True)),
        }
    told["features"] = {str(n): _cell(str(n), row[n]) for n in names if n in rows}
    return dict(scrubbed(coerce(told)))


def _cell(name: str, value: Any) -> Any:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if named_secret(name):
        return WITHHELD
    return value[:LONGEST] if isinstance(value, str) else value


def configuration(spec: PipelineSpec) -> dict[str, Any]:
    """The whole specification with its defaults, as JSON: functions by name, models with every hyper-parameter, no secrets.

    What says where the project lies on this machine is left out.
    """
    plain = spec.model_dump(mode="python", exclude={"base_dir", "where", "store"})
    for name, source in spec.sources.items():
        if hasattr(source, "url"):
            # Which server is meant is told without who asks it: a password of any form must not show.
            scheme, mark, rest = str(source.url).partition("://")
            plain["sources"][name]["url"] = f"{scheme}{mark}{rest.rpartition('@')[2]}"
    plain["model"] |= {"resolved": declared(spec)["model"]}
    return dict(scrubbed(coerce(plain)))


class _Held:
    """A specification behind its identity: it holds mappings, and so has no hash."""

    def __init__(self, spec: PipelineSpec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return id(self.spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.spec is self.spec


@lru_cache(maxsize=32)
def _configuration(held: _Held) -> dict[str, Any]:
    return configuration(held.spec)


def configured(store: Store, spec: PipelineSpec) -> Output:
    """The resolved configuration in the store."""
    return _output("configuration", store.put_json(_configuration(_Held(spec)), KIND))
