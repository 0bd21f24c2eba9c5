"""A sample of a pipeline's own data: which partitions to read, and which of their rows, so that everything can be tried in seconds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlpipe.errors import MlpipeError
from mlpipe.records.codec import Head
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.extent import extent
from mlpipe.stages.featurise import past_keys
from mlpipe.stages.frames import ROW, label_keys, usable
from mlpipe.stages.label import ripe_at
from mlpipe.stages.runner import stored
from mlpipe.stages.sources import load
from mlpipe.stages.splits import by_part

ROWS = 2_000
"""Rows that are learned from and judged on, by default."""
MOST_PARTITIONS = 40
MOST_ROWS = 100_000
"""Rows of the primary source that are read at once, about; a partition is never cut."""
FEW = 6
"""Partitions that are read however many rows they hold: some to learn from, to choose by and to judge on."""
SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}
MOST_CLASSES = 50


@dataclass(frozen=True)
class Chosen:
    """The partition to train for, its training window, which partitions of that are read, and in which blocks all are read.

    `data` is the part of the window in which there can be rows; `blocks` also hold what features and labels look into.
    """

    key: str
    window: tuple[str, ...]
    data: tuple[str, ...]
    read: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]


def choose(spec: PipelineSpec, now: datetime, ctx: Context) -> Chosen:
    """Partitions to read: the newest training window whose labels are known by now, and of a long one whole partitions spread over it.

    Where nobody can say from when to when there is data (a function, a query, another asset), the newest and the first window of the
    calendar are asked.

    Raises
    ------
    MlpipeError
        When the source cannot be read; see `mlpipe.stages.extent` and `mlpipe.stages.sources`.
    """
    data = extent(spec, now)
    if data is None:
        return Chosen(WHOLE, (WHOLE,), (WHOLE,), (WHOLE,), ((WHOLE,),))
    keys = spec.partitions.keys(*data)
    known = set(keys)
    tried: list[tuple[int, str, tuple[str, ...], tuple[str, ...]]] = []
    failed: MlpipeError | None = None
    for key in _candidates(spec, keys, now):
        window = spec.partitions.before(key, spec.training_window)
        inside = tuple(k for k in window if k in known)
        try:
            most = _fullest(spec, inside, ctx)
        except MlpipeError as error:
            # Where data begins and ends is not known of every source: a window too far may be refused.
            failed = failed or error
            continue
        tried.append((most, key, window, inside))
        if most:
            break
    if not tried:
        assert failed is not None
        raise failed
    # Rows are also looked for where the newest window has none; without any the check of the sources says so.
    most, key, window, inside = tried[-1] if tried[-1][0] else tried[0]
    read = spread(spec, window, inside, min(MOST_PARTITIONS, max(FEW, MOST_ROWS // max(1, most))))
    wanted = {*read, *_around(spec, read, inside, now)}
    ordered = [k for k in keys if k in wanted]
    return Chosen(key, window, inside, read, tuple(_blocks(spec, ordered, most)))


def _candidates(spec: PipelineSpec, keys: Sequence[str], now: datetime) -> Iterator[str]:
    """Partitions to train for: after the newest whose labels are all known, and after the first full window.

    The newest partition with data is itself trained for, as `mlpipe run` does; a single one leaves that to the one after it.
    """
    calendar = spec.partitions
    ripe = next((k for k in reversed(keys) if ripe_at(spec, k) <= now), keys[-1])
    length = len(calendar.before(keys[-1], spec.training_window))
    for last in dict.fromkeys((ripe, keys[min(max(length, 1), len(keys)) - 1])):
        after = calendar.key_at(calendar.window(last).end)
        beyond = last == keys[-1] and (len(keys) > 1 or not calendar.has(after))
        yield last if beyond else after


def _fullest(spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> int:
    """Rows of the fullest of three partitions of the primary source: the newest, the middle one and the oldest."""
    rows = [0]
    for key in dict.fromkeys(keys[i] for i in (-1, len(keys) // 2, 0)) if keys else ():
        for _, piece in load(spec, spec.primary, [key], ctx):
            # A partition that cannot be read is told by the check that reads them all.
            rows.append(0 if isinstance(piece, MlpipeError) else len(piece.frame))
    return max(rows)


def spread(spec: PipelineSpec, window: Sequence[str], keys: Sequence[str], most: int) -> tuple[str, ...]:
    """At most about `most` of some keys of a window, drawn with the seed from all over it, some from each part of its split.

    Where features look back, neighbours are drawn together: a partition without those before it would have no past.
    """
    if len(keys) <= most:
        return tuple(keys)
    length = min(len(past_keys(spec, keys[-1])) + 1, most // FEW)
    draw, inside, chosen = np.random.default_rng(spec.seed), set(keys), set()
    parts = by_part(spec, window).values()
    for part in ([k for k in p if k in inside] for p in parts):
        count = max(1, round(most * len(part) / len(keys) / length), FEW // 3 // length)
        edges = np.linspace(0, len(part), min(count, max(1, len(part) // length)) + 1).astype(int)
        for low, high in pairwise(edges):
            start = int(draw.integers(low, max(low + 1, high - length + 1))) if high > low else low
            chosen.update(part[start : start + length])
    return tuple(k for k in keys if k in chosen)


def _around(spec: PipelineSpec, read: Sequence[str], inside: Sequence[str], now: datetime) -> set[str]:
    """Further partitions that are looked into: the past of the first, where all fit, and where labels of their own source may stand."""
    found: set[str] = set()
    past = past_keys(spec, read[0]) if read else ()
    if len(past) + len(inside) <= MOST_PARTITIONS:
        found.update(past)
    if spec.label.source is not None and read:
        each = max(1, 2 * MOST_PARTITIONS // len(read))
        later = {k: label_keys(spec, k)[1:] for k in read}
        few = len({k for ks in later.values() for k in ks}) <= 2 * MOST_PARTITIONS
        found.update(k for ks in later.values() for k in (ks if few else ks[:each]))
    return {k for k in found if spec.partitions.window(k).start < now}


def _blocks(spec: PipelineSpec, keys: Sequence[str], most: int) -> Iterator[tuple[str, ...]]:
    """Keys to read with one call: all of them, unless the rows between them are too many."""
    if not keys:
        return
    calendar = spec.partitions
    span = len(calendar.keys(keys[0], keys[-1]))
    if span == len(keys) or span * most <= MOST_ROWS:
        yield tuple(keys)
        return
    block = [keys[0]]
    for before, key in pairwise(keys):
        if calendar.window(before).end == calendar.window(key).start:
            block.append(key)
        else:
            yield tuple(block)
            block = [key]
    yield tuple(block)


# -- rows ---------------------------------------------------------------------------------------------------------


def thin(spec: PipelineSpec, chosen: Chosen, rows: int, ctx: Context) -> tuple[int, int]:
    """Leave some `rows` rows of the primary source in the validated partitions, drawn with the seed.

    The contract has seen whole partitions; what comes after sees only these rows. Labelled ones are preferred, each part of the split
    gets its share, and of a rare class more are taken than chance would.

    Returns
    -------
    tuple of int
        Rows that are left in `chosen.read`, and how many there were.
    """
    keys = [k for block in chosen.blocks for k in block]
    heads = ctx.heads.find(f"{spec.name}/validated", keys)
    labels = ctx.heads.find(f"{spec.name}/labels", keys)
    good = [k for k in keys if k in heads and usable(heads[k])]
    if not good:
        return 0, 0
    pool = pd.concat([_pool(spec, k, heads[k], labels.get(k), ctx) for k in good], ignore_index=True)
    pool = pool.assign(
        part=pool["key"].map(_part_of(spec, chosen)).fillna("train"), read=pool["key"].isin(chosen.read)
    )
    taken = _drawn(spec, pool, rows)
    for key, mine in pool[taken].groupby("key"):
        _leave(spec, heads[str(key)], mine[ROW].to_numpy(), ctx)
    return int((taken & pool["read"]).sum()), int(pool["read"].sum())


def _part_of(spec: PipelineSpec, chosen: Chosen) -> dict[str, str]:
    return {k: part for part, keys in by_part(spec, chosen.window).items() for k in keys}


def _pool(spec: PipelineSpec, key: str, head: Head, labels: Head | None, ctx: Context) -> pd.DataFrame:
    """Rows of one partition that may be drawn, with their label; null where none is known."""
    names = [n for n in (f"{spec.primary}/kept", f"{spec.primary}/repaired") if n in head.outputs]
    rows = np.concatenate([ctx.store.get_table(head.outputs[n].id, [ROW])[ROW].to_numpy() for n in names])
    pool = pd.DataFrame({"key": key, ROW: rows, "label": None})
    if labels is not None and "labels" in labels.outputs:
        known = ctx.store.get_table(labels.outputs["labels"].id, [ROW, spec.label.name])
        pool["label"] = pool[ROW].map(known.set_index(ROW)[spec.label.name].astype("object"))
    return pool


def _drawn(spec: PipelineSpec, pool: pd.DataFrame, rows: int) -> pd.Series:
    """Which rows of a pool are taken."""
    order = pool.sample(frac=1.0, random_state=spec.seed)
    order = order.iloc[np.argsort(order["label"].isna().to_numpy(), kind="stable")]
    mine = order[order["read"]]
    mine = mine[mine["label"].notna()] if mine["label"].notna().any() else mine
    sizes = {str(p): part["key"].value_counts().to_numpy() for p, part in mine.groupby("part")}
    whole = sum(SHARES[p] for p in sizes)
    caps = {p: cap(counts.astype("int64"), rows * SHARES[p] / whole) for p, counts in sizes.items()}
    rank = order.groupby("key").cumcount()
    taken = rank < order["part"].map(caps).fillna(max(caps.values(), default=1))
    classes = mine["label"].dropna().astype("str")
    if spec.known_task != ("regression",) and 1 < classes.nunique() <= MOST_CLASSES:
        rare = classes.groupby(classes).cumcount() < rows // (4 * classes.nunique())
        taken |= order.index.isin(classes.index[rare])
    return taken.reindex(pool.index)


def cap(sizes: NDArray[np.int64], rows: float) -> int:
    """Most that may be taken from each of some heaps, so that about `rows` are taken in all; at least 1."""
    left, heaps = rows, np.sort(sizes)
    for i, size in enumerate(heaps):
        share = left / (len(heaps) - i)
        if size > share:
            return max(1, int(share))
        left -= size
    return int(heaps[-1]) if len(heaps) else 1


def _leave(spec: PipelineSpec, head: Head, rows: NDArray[np.int64], ctx: Context) -> None:
    """The validated partition, with these rows alone."""
    outputs = dict(head.outputs)
    for name in (f"{spec.primary}/kept", f"{spec.primary}/repaired"):
        if name in outputs:
            table = ctx.store.get_table(outputs[name].id)
            outputs[name] = stored(ctx.store, name, table[table[ROW].isin(rows)].reset_index(drop=True))
    ctx.heads.add(replace(head, outputs=outputs))
