"""What of a split does not go together with the rest of a pipeline."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from mlpipe.spec.calendar import UNITS
from mlpipe.spec.modeling import Split
from mlpipe.spec.nodes import KeyPath, choices, duration_text

Problems = Iterator[tuple[KeyPath, str]]
IN_TIME = ("expanding", "rolling", "purged")


def length_problems(split: Split, window: timedelta | int, every: str) -> Problems:
    """Parts that leave nothing of a window of partitions to train on, and folds for which it is too short.

    Parameters
    ----------
    window
        A length, or a number of partitions.
    every
        How long a partition is; without partitions there is no window to fill.
    """
    unit = UNITS[every]
    if not unit:
        return
    # Partitions that a duration only touches belong to the window.
    count = window if isinstance(window, int) else -(-window // unit) + (every == "month")
    whole = count * unit
    parts = [unit if part is None else part for part in (split.valid, split.test)]
    needed = sum(parts, timedelta(0)) + split.embargo * sum(bool(part) for part in parts)
    if needed >= whole:
        yield (
            ("split",),
            f"valid, test and embargo take {duration_text(needed)} and leave nothing of the window"
            f" ({duration_text(whole)}) to train on",
        )
        return
    left = whole - parts[1] - split.embargo * bool(parts[1])
    learns = split.train if split.train is not None else unit
    if split.kind in ("expanding", "rolling") and learns + split.embargo + split.count * unit > left:
        yield (
            ("split",),
            f"{split.count} folds that test a partition ({every}) each, after {duration_text(learns)} to learn from and"
            f" {duration_text(split.embargo)} of embargo, do not fit into the {duration_text(left)} before the test;"
            " ask for fewer folds, or lengthen the window",
        )


def fold_problems(
    split: Split, timed: bool, known: Sequence[str] | None, truth: Sequence[str | None]
) -> Problems:
    """Folds in time of rows without times, and a column to fold by that is none.

    Parameters
    ----------
    timed
        Whether rows have a moment of prediction.
    known
        Keys and features; None where they show only when a function makes them.
    truth
        The label and its outcomes.
    """
    if split.kind in IN_TIME and not timed:
        yield (
            ("split", "kind"),
            f"a {split.kind} split needs times: 'event_time' of the primary source, or 'prediction_time'",
        )
    if split.by is not None and split.by in truth:
        instead = (
            "leave 'by' out to stratify by the label"
            if split.kind == "stratified"
            else "name a key or a feature"
        )
        yield ("split", "by"), f"{split.by!r} is the label or one of its outcomes; {instead}"
    elif split.by is not None and known is not None and split.by not in known:
        yield ("split", "by"), f"{split.by!r} is neither a key nor a feature. {choices(split.by, known)}"
