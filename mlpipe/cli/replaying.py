"""`mlpipe replay`."""

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from mlpipe.cli.command import command


def add(commands: Any) -> None:
    """Declare the command."""
    text = "Live through past partitions night by night: what would this retraining policy have done?"
    made = command(
        commands,
        "replay",
        replay,
        text,
        "examples:\n  mlpipe replay churn\n  mlpipe replay flights --from 2013-04-01 --to 2013-09-30 --policy weekly.yaml",
    )
    made.add_argument(
        "--from", dest="first", metavar="PARTITION", help="first partition; default: the first with data"
    )
    made.add_argument(
        "--to", dest="last", metavar="PARTITION", help="last partition, included; default: the last with data"
    )
    made.add_argument(
        "--policy",
        metavar="FILE",
        help="YAML with the keys of 'retrain', such as 'every: week'; default: the pipeline's own",
    )
    made.add_argument(
        "--ledger",
        metavar="NAME",
        help="chain of decisions to write; default: one of the replay's own, so that production stays as it is",
    )
    made.add_argument(
        "--inject",
        action="append",
        default=[],
        metavar="FAULT@PARTITION",
        help="put a fault in on purpose, such as shuffled-labels@2013-07-15; may be given more than once, for other partitions",
    )
    made.add_argument(
        "--out",
        metavar="FOLDER",
        help="where to put the picture; default: beside the replay in $DAGSTER_HOME",
    )
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")


def replay(args: argparse.Namespace) -> int:
    """`mlpipe replay`."""
    from mlpipe.orchestration.lived import gathered
    from mlpipe.orchestration.locate import pipeline_of
    from mlpipe.orchestration.replay import asked, replaying
    from mlpipe.orchestration.runs import past
    from mlpipe.spec.yaml_file import policy_file
    from mlpipe.stages.retraining import policy_of
    from mlpipe.views.progress import nights
    from mlpipe.views.replay import as_json, as_markdown, as_text
    from mlpipe.views.timeline import svg

    started = time.perf_counter()
    spec, defs = pipeline_of(args.pipeline, Path.cwd(), args.target)
    if spec.partitions.every == "none" and not (args.first or args.last):
        print(f"{spec.name}: there is nothing to live through, for the pipeline has no partitions in time.")
        return 0
    first, last = past(spec, args.first, args.last)
    policy = policy_of(policy_file(Path(args.policy))) if args.policy else None
    what = asked(spec, first, last, policy, args.ledger, args.inject)
    with replaying(spec, defs, what) as replayed:
        with nights(spec.name) as tell:
            replayed.live(tell)
        lived = gathered(replayed, time.perf_counter() - started)
    folder = Path(args.out) if args.out else replayed.folder
    written = {"timeline.svg": svg(lived), "replay.json": as_json(lived), "replay.md": as_markdown(lived)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (folder / name).write_text(text)
    print(as_json(lived) if args.json else as_text(lived, shutil.get_terminal_size((120, 24)).columns))
    # Of two streams into one file each is written in its turn.
    sys.stdout.flush()
    print(f"Picture, table and numbers: {folder}/timeline.svg, replay.md, replay.json", file=sys.stderr)
    if what.ledger != spec.deployment:
        look = f"mlpipe history {spec.name} --ledger {what.ledger}"
        print(f"Its decisions: {look}; its days: drift and levels, with the same --ledger", file=sys.stderr)
    return 0
