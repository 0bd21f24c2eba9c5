"""The probe `golden`: fixed rows with their truth, the same for every model, and a sample of the newest judged rows, another each time."""

import re
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.bootstrap import interval, paired
from mlpipe.core.metrics import evaluate
from mlpipe.core.scored import Scored
from mlpipe.errors import DataError, UserCodeError, did_you_mean
from mlpipe.records.codec import coerce, digest
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.probing import Golden
from mlpipe.stages.dataset import Encoding, model_frame, plain
from mlpipe.stages.frames import TIME
from mlpipe.stages.judging.fixed import table_of
from mlpipe.stages.judging.subject import Probed, Subject
from mlpipe.stages.trial import first_line
from mlpipe.stores.bundles import Bundle
from mlpipe.stores.store import Store

MOST_BLOCKS = 500


def probe(subject: Subject) -> Probed:
    """Challenger and champion on the golden rows, with the interval of their difference row by row; and on the newest rows.

    Raises
    ------
    DataError
        No golden set is declared, it cannot be read, lacks a feature or its truth, or another content has the declared version.
    """
    asked = subject.spec.golden
    where = f"pipeline {subject.spec.name}, golden"
    if asked is None:
        raise DataError(
            "no golden set is declared", where=where, fix="Declare one: golden: {file: …, version: '1'}."
        )
    name = content(subject.spec, subject.ctx.store)
    where = f"{where} {asked.name!r} version {asked.version}"
    rows = subject.ctx.store.get_table(name)
    y = _truth(subject, asked, rows, where)
    facts: dict[str, Any] = {"name": asked.name, "version": asked.version, "table": name, "rows": len(rows)}
    facts |= _judged(subject, rows, y, np.arange(len(rows)) % MOST_BLOCKS, where)
    if asked.recent is not None:
        facts["recent"] = _recent(subject, asked, where)
    return Probed(coerce(facts), coerce(facts))


def content(spec: PipelineSpec, store: Store) -> str:
    """Id of the golden set's table, which decides part of an evaluation; it is put into the store, and its version is fixed there.

    A file that is gone (in a repetition from the archive of the code, which holds none) is the table that its version names.

    Raises
    ------
    DataError
        No set is declared, the file cannot be read, its content is another than its version had, or the table is not in the store.
    """
    asked = spec.golden
    assert asked is not None
    where = f"pipeline {spec.name}, golden"
    if asked.table is not None:
        if not store.exists(asked.table):
            raise DataError(
                f"the table {asked.table} is not in the store", where=where, fix="Copy it, or name a file."
            )
        return asked.table
    path = f"golden/{spec.name}/{asked.name}/{_segment(asked.version)}"
    file = str(asked.file)
    pinned = store.pinned(path)
    if pinned is not None and not (spec.base_dir / file).is_file():
        return str(pinned["table"])
    put = store.put_table(table_of(spec.base_dir, file, where))
    pinned = pinned or store.pin(path, {"table": put.id})
    if pinned["table"] != put.id:
        raise DataError(
            f"version {asked.version} of the golden set {asked.name!r} held other rows ({pinned['table']}) than the file holds now",
            where=f"{where}, {file}",
            fix="A golden set does not change: raise its 'version', or restore the file.",
        )
    return put.id


def _segment(version: str) -> str:
    """A version as a part of a path: itself where it is plain, else a name made of it."""
    return version if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", version) else f"v-{digest(version)[:20]}"


def _truth(subject: Subject, asked: Golden, rows: pd.DataFrame, where: str) -> np.ndarray:
    column = asked.truth or subject.spec.label.name
    if column not in rows:
        raise DataError(
            f"there is no column {column!r} of the truth",
            where=where,
            fix=did_you_mean(column, list(rows.columns)),
        )
    missing = [n for n in subject.bundle.feature_names if n not in rows]
    if missing:
        raise DataError(
            f"the golden rows lack the feature {missing[0]!r}",
            where=where,
            fix=did_you_mean(missing[0], list(rows.columns)),
        )
    y = Encoding(subject.bundle.task, subject.bundle.classes).encode(rows[column])
    odd = np.flatnonzero(~np.isfinite(y))
    if len(odd):
        value = plain(rows[column].iloc[odd[0]])
        classes = ", ".join(map(repr, subject.bundle.classes)) or "a number"
        raise DataError(
            f"row {odd[0] + 1} has the truth {value!r}, and the model knows {classes}",
            where=where,
            fix="Mend the row.",
        )
    return y


def _judged(
    subject: Subject, rows: pd.DataFrame, y: np.ndarray, blocks: np.ndarray, where: str
) -> dict[str, Any]:
    """Metrics of both models on some rows with intervals, and the differences, positive where the challenger is better."""
    ours = _scored(subject.bundle, rows, y, where)
    spec, measures = subject.spec, subject.spec.measures
    asked = {n: measures.of(n) for n in subject.names}
    bounds = {
        n: interval(ours, m, blocks, resamples=spec.bootstrap, seed=subject.seed) for n, m in asked.items()
    }
    told: dict[str, Any] = {
        "metrics": _plain(evaluate(ours, list(asked.values()))),
        "intervals": {n: [_number(i.low), _number(i.high)] for n, i in bounds.items()},
        "champion": None,
        "difference": {},
    }
    champion = subject.champion
    if champion is None:
        return told
    try:
        if (champion.task, champion.classes) != (subject.bundle.task, subject.bundle.classes):
            raise DataError("it predicts something else")
        theirs = _scored(champion, rows, y, where)
    except (DataError, UserCodeError) as error:
        return {**told, "incomparable": f"the champion cannot score these rows: {first_line(error)}"}
    pairs = {
        n: paired(ours, theirs, m, blocks, resamples=spec.bootstrap, seed=subject.seed)
        for n, m in asked.items()
    }
    told["champion"] = _plain(evaluate(theirs, list(asked.values())))
    told["difference"] = {
        n: {"value": _number(p.difference), "low": _number(p.low), "high": _number(p.high)}
        for n, p in pairs.items()
    }
    return told


def _scored(bundle: Bundle, rows: pd.DataFrame, y: np.ndarray, where: str) -> Scored:
    missing = [n for n in bundle.feature_names if n not in rows]
    if missing:
        raise DataError(f"the rows lack the feature {missing[0]!r}", where=where)
    return Scored(y, bundle.predict(model_frame(rows, bundle.features)), bundle.threshold, bundle.classes)


def _recent(subject: Subject, asked: Golden, where: str) -> dict[str, Any]:
    """Judged rows of the last while, drawn anew for each partition."""
    assert asked.recent is not None
    since = subject.rows[TIME].max() - pd.Timedelta(asked.recent)
    places = np.flatnonzero((subject.rows[TIME] > since).to_numpy())
    rng = np.random.default_rng([subject.seed, *subject.key.encode()])
    if len(places) > asked.recent_rows:
        places = np.sort(rng.choice(places, size=asked.recent_rows, replace=False))
    rows = subject.rows.iloc[places].reset_index(drop=True)
    found = _judged(subject, rows, subject.y[places], subject.blocks[places], f"{where}, recent")
    return {"since": since, "rows": len(rows), **found}


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {n: _number(v) for n, v in values.items()}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
