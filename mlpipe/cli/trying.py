"""`mlpipe try`: variants of a model, tried beside it."""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import command, warn
from mlpipe.errors import MlpipeError, SpecError

if TYPE_CHECKING:
    from mlpipe.orchestration.runtime import Progress
    from mlpipe.records.record import Record
    from mlpipe.spec.pipeline import PipelineSpec
    from mlpipe.stages.same_day import Own
    from mlpipe.stages.variants import Variant

TEXT = "Try variants of a model: learned and judged as the model of a partition would be, and mixed with nothing."
EPILOG = """\
Every value of every --set is tried with every value of the others. Names are those of a record's parameters (mlpipe show ID):
model.<parameter>, features.exclude, window, split.valid, split.test, split.embargo, threshold, preprocess.kind, min_rows, min_coverage,
seed; the last parts will do where they are unambiguous. A value in brackets is one list: features.exclude=[temp,humid]. All of it is
checked before anything runs. What was tried before with the same data, code and settings is found again, and said to be.

A trial is an ordinary run of <pipeline>_trial with a record of its own. It registers and releases nothing, and no stage reads it. Beside
the pipeline's own model of the same partition it is compared on the same rows, as a paired difference with its interval.

examples:
  mlpipe try flights --partition 2013-07-01 --set model.learning_rate=0.05,0.1,0.2 --experiment lr-sweep --tag owner=ana
  mlpipe try flights --partition 2013-07-01 --set features.exclude=temp,humid,[temp,humid] --note "does the weather help?"
  mlpipe try flights --partition 2013-07-01..2013-07-05 --set window=60d,120d
  mlpipe try flights --partition 2013-07-01 --set threshold=0.3,0.5 --list      # what would be tried"""


def add(commands: Any) -> None:
    """Declare the command."""
    made = command(commands, "try", try_, TEXT, EPILOG)
    made.add_argument(
        "--partition",
        action="append",
        default=[],
        metavar="KEY",
        help="for which; A..B is a range; may be given more than once",
    )
    made.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="NAME=VALUE,…",
        help="what to change, and to what; may be given more than once",
    )
    made.add_argument("--experiment", default="", metavar="NAME", help="what the trials belong to; recorded")
    made.add_argument("--hypothesis", default="", metavar="TEXT", help="what they are to show; recorded")
    made.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="a tag of their records"
    )
    made.add_argument("--note", default="", metavar="TEXT", help="a remark; recorded")
    made.add_argument("--list", action="store_true", help="say what would be tried, and run nothing")
    made.add_argument("--json", action="store_true", help="print one JSON object")


def try_(args: argparse.Namespace) -> int:
    """`mlpipe try`."""
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.orchestration.runs import instance
    from mlpipe.orchestration.trials import Asked, checked_tags
    from mlpipe.orchestration.trying import features_at, own_models, tried
    from mlpipe.stages.variants import variants
    from mlpipe.views.trials import as_list, as_text

    spec, defs = pipeline_of(args.pipeline, Path.cwd(), args.target)
    keys, sets = _partitions(spec, args.partition), _sets(args.sets)
    asked = Asked(sets, args.experiment, args.hypothesis, checked_tags(args.tag), args.note)
    with instance() as on:
        every = variants(spec, sets, features_at(spec, on, keys[0]))
        if args.list:
            told = {"pipeline": spec.name, "partitions": keys, "variants": [v.changes for v in every]}
            text = as_list(spec.name, [v.label for v in every], keys)
            print(json.dumps(told, ensure_ascii=False) if args.json else text)
            return 0
        made, errors = tried(spec, defs, on, keys, asked, _tell)
        for error in errors:
            warn(str(error))
        answer = _answer(spec, keys, every, made, own_models(spec, on, keys), args.experiment)
    print(json.dumps(answer, ensure_ascii=False) if args.json else as_text(answer))
    if errors:
        from mlpipe.orchestration.around import together

        raise together(errors)
    return 0


def _tell(progress: "Progress") -> None:
    """A line for each variant that was tried."""
    print(
        f"{progress.partition}, {progress.done} of {progress.total}: {progress.text.replace('**', '')}",
        file=sys.stderr,
    )


def _partitions(spec: "PipelineSpec", given: Sequence[str]) -> list[str]:
    """Keys of what was given, in the order of the calendar."""
    from mlpipe.spec.calendar import WHOLE

    if spec.partitions.every == "none":
        if given:
            raise MlpipeError(f"pipeline {spec.name!r} has no partitions", fix="Leave --partition out.")
        return [WHOLE]
    if not given:
        raise SpecError("no partition is named", where="--partition", fix="Name one: --partition 2013-07-01.")
    keys: dict[str, None] = {}
    for text in given:
        first, dots, last = text.partition("..")
        found = spec.partitions.keys(first, last) if dots else [first]
        if not found:
            raise SpecError(
                f"{text!r} holds no partition", where="--partition", fix="Is it the wrong way round?"
            )
        for key in found:
            spec.partitions.window(key)
            keys[key] = None
    return sorted(keys)


def _sets(given: Sequence[str]) -> dict[str, list[Any]]:
    from mlpipe.stages.variants import parsed

    sets: dict[str, list[Any]] = {}
    for text in given:
        name, values = parsed(text)
        if name in sets:
            raise SpecError(f"{name} is given twice", where="--set", fix="Give all its values at once.")
        sets[name] = values
    return sets


def _answer(
    spec: "PipelineSpec",
    keys: Sequence[str],
    tried: "Sequence[Variant]",
    made: "Mapping[str, Sequence[Record]]",
    own: "Mapping[str, Own]",
    experiment: str,
) -> dict[str, Any]:
    """Everything that came of it, in plain values; the best variant first."""
    from mlpipe.orchestration.runtime import open_store, store_url
    from mlpipe.records.codec import coerce
    from mlpipe.stages.experiment import CHANGES
    from mlpipe.stages.same_day import compared

    store = open_store(store_url(spec))
    of = [
        (v, [r for key in keys for r in made.get(key, ()) if r.data[CHANGES] == coerce(v.changes)])
        for v in tried
    ]
    judged = [r for _, records in of for r in records if r.data.get("judged")]
    metric = str(judged[0].data["judged"].get("primary") or "") if judged else ""
    rows = [
        {
            "set": coerce(v.changes),
            "label": v.label,
            "records": [_plain(r) for r in records],
            "comparison": compared(spec, records, own, store, metric or None).to_dict(),
        }
        for v, records in of
    ]
    sign = spec.measures.of(metric).sign if metric else 1.0
    rows.sort(key=lambda row: -sign * _mean(row, metric, sign))
    return {
        "pipeline": spec.name,
        "partitions": list(keys),
        "experiment": experiment,
        "metric": metric,
        "metrics": list(dict.fromkeys(m for r in judged for m in _plain(r)["metrics"])),
        "variants": rows,
    }


def _plain(record: "Record") -> dict[str, Any]:
    def values(split: str) -> dict[str, Any]:
        some = (m for m in record.metrics if m.split == split)
        return {m.name: [_finite(m.value), _finite(m.low), _finite(m.high)] for m in some}

    return {
        "id": record.id,
        "partition": record.partition,
        "verdict": record.verdict,
        "reused": record.reused,
        "headline": record.headline,
        "metrics": values("test"),
        "folds": values("folds"),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _mean(row: Mapping[str, Any], metric: str, sign: float) -> float:
    """Mean of the metric over partitions; without one the worst there is."""
    values = [r["metrics"][metric][0] for r in row["records"] if metric in r["metrics"]]
    known = [v for v in values if v is not None]
    return math.fsum(known) / len(known) if known else -sign * math.inf
