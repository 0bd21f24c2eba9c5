"""`mlpipe check`."""

import argparse
from pathlib import Path
from typing import Any

from mlpipe.cli.command import command


def add(commands: Any) -> None:
    """Declare the command."""
    made = command(
        commands,
        "check",
        check,
        "Load the pipelines of this project and say what is wrong with them, in one paragraph.",
        pipeline=False,
    )
    made.add_argument("pipeline", nargs="?", help="name of one pipeline; default: all of the project")


def check(args: argparse.Namespace) -> int:
    """`mlpipe check`."""
    from mlpipe.orchestration.definitions import PIPELINES
    from mlpipe.orchestration.locate import checked
    from mlpipe.orchestration.runtime import store_url
    from mlpipe.views.summary import described

    names = checked(Path.cwd(), args.target, args.pipeline)
    for name in names:
        print(described(PIPELINES[name], store_url(PIPELINES[name])))
    return 0
