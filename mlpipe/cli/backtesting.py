"""`mlpipe matrix` and `mlpipe backtest`: what a rule would have decided in the past, and what followed."""

import argparse
import json
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe.cli.command import chosen, command
from mlpipe.cli.looking import put
from mlpipe.errors import MlpipeError

if TYPE_CHECKING:
    from mlpipe.core.policy import Policy
    from mlpipe.stages.past import Past

GATES = "What other gates would have decided about each past candidate, and how production would have scored since."
GATES_EXAMPLES = """\
Each recorded candidate is judged and released again, in its order, in a ledger of its own: against the champion that this policy would
have had by then. Without --policy the pipeline's gates as they stand now are tried; where they are those that were in force, every decision
comes out as it was.

examples:
  mlpipe backtest gates flights --policy stricter.yaml
  mlpipe backtest gates flights --policy stricter.yaml --from 2013-06-01 --to 2013-12-31 --html stricter.html"""
CHECKS = "How often another contract would have failed days that were fine, before it blocks anything."
CHECKS_EXAMPLES = """\
A day was fine when its contract passed it then, and neither drift nor a fall of the metric was seen when it was monitored.

examples:
  mlpipe backtest checks flights --contract tighter.yaml
  mlpipe backtest checks flights --contract tighter.yaml --from 2013-06-01 --json"""

POLICY = (
    "Retraining policies lived through the same recorded months: what each asked for, took, gave, and missed."
)
POLICY_EXAMPLES = """\
Lived through, night by night, by the pipeline's own stages, each policy with a chain of decisions of its own: production stays as it is.
Tried are never, weekly, monthly, drift, performance, cost-aware, the pipeline's own (declared), and those of --policy. Models are reused by
recipe, also those that a replay trained. Killed and started again, it goes on where it was.

Regret against the best model: how much worse the champion was than the best of all models that existed that day, mean over days. Regret
against the best policy: how much worse the metric over all rows is than that of the policy that did best.

examples:
  mlpipe backtest policy flights --from 2013-04-01 --to 2013-12-31 --html policies.html
  mlpipe backtest policy flights --policy calm=calm.yaml --policy eager=eager.yaml --only calm --only eager"""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")


def add(commands: Any) -> None:
    """Declare the commands."""
    made = command(
        commands,
        "matrix",
        matrix,
        "Every kept model on every labelled day, and how each grows old; cells are scored once and kept.",
        "examples:\n  mlpipe matrix flights\n  mlpipe matrix flights --from 2013-06-01 --by day --metric pr_auc --html heat.html",
    )
    _stretch(made)
    made.add_argument("--metric", metavar="NAME", help="default: the one that models are chosen by")
    made.add_argument(
        "--by", choices=("month", "day"), default="month", help="what a column holds; default: month"
    )
    made.add_argument("--csv", action="store_true", help="print CSV, a line for each model and column")
    made.add_argument("--html", metavar="FILE", help="write a heat map too, a page that needs no network")

    group = commands.add_parser(
        "backtest",
        help="Try a rule on the past before it is switched on.",
        description="Try a rule on the past before it is switched on. Production stays as it is; only 'policy' trains.",
    ).add_subparsers(required=True, metavar="WHAT")
    made = command(group, "gates", gates, GATES, GATES_EXAMPLES)
    _stretch(made)
    made.add_argument(
        "--policy",
        metavar="FILE",
        help="YAML with keys such as 'gates', 'metrics', 'slices'; default: the pipeline's own, as it stands now",
    )
    made.add_argument(
        "--metric", metavar="NAME", help="what production is scored by; default: the first of the pipeline's"
    )
    made.add_argument(
        "--html", metavar="FILE", help="write a page with the picture and every gate's sentence"
    )
    made.add_argument("--svg", metavar="FILE", help="write the picture alone")
    _policy_command(group)
    made = command(group, "checks", checks, CHECKS, CHECKS_EXAMPLES)
    _stretch(made)
    made.add_argument(
        "--contract",
        metavar="FILE",
        help="YAML with the keys of 'contract', or 'sources' with the contract of each; default: the pipeline's own, as it stands now",
    )


def _policy_command(group: Any) -> None:
    made = command(group, "policy", policy, POLICY, POLICY_EXAMPLES)
    _stretch(made)
    made.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="try this one too: YAML with the keys of 'retrain'; may be given more than once",
    )
    made.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="try this policy only; may be given more than once",
    )
    made.add_argument(
        "--metric", metavar="NAME", help="what production is scored by; default: the first of the pipeline's"
    )
    made.add_argument("--html", metavar="FILE", help="write a page with the picture and every training")
    made.add_argument("--svg", metavar="FILE", help="write the picture alone")


def _stretch(made: Any) -> None:
    """Options that all of these commands have."""
    made.add_argument(
        "--from", dest="first", metavar="PARTITION", help="first partition; default: the first there is"
    )
    made.add_argument(
        "--to", dest="last", metavar="PARTITION", help="last partition, included; default: the last there is"
    )
    made.add_argument(
        "--ledger",
        metavar="NAME",
        help="the chain of decisions, such as a replay's; default: the deployment's",
    )
    made.add_argument("--json", action="store_true", help="print JSON")


def _past(args: argparse.Namespace) -> "Past":
    from mlpipe.orchestration.runtime import ledger_of
    from mlpipe.stages.past import Past

    spec, store, _ = chosen(args)
    return Past(spec, store, ledger_of(spec, store, args.ledger))


def matrix(args: argparse.Namespace) -> int:
    """`mlpipe matrix`."""
    from mlpipe.stages.decay import survey
    from mlpipe.views.matrix import as_csv, as_html, as_text
    from mlpipe.views.progress import counting

    past = _past(args)
    with counting("scoring") as tell:
        found = survey(past, past.keys(args.first, args.last), metric=args.metric, by=args.by, tell=tell)
    if args.html:
        put(args.html, as_html(found))
    print(
        json.dumps(found, ensure_ascii=False) if args.json else as_csv(found) if args.csv else as_text(found)
    )
    return 0


def gates(args: argparse.Namespace) -> int:
    """`mlpipe backtest gates`."""
    from mlpipe.spec.overlaid import judged_by
    from mlpipe.stages.consequences import compared
    from mlpipe.stages.counterfactual import Counterfactual
    from mlpipe.views.backtest import gates_html, gates_svg, gates_text
    from mlpipe.views.progress import counting

    past = _past(args)
    spec = judged_by(past.spec, Path(args.policy)) if args.policy else past.spec
    # One of the user's own may be declared by the new policy alone. A wrong name is told before the work.
    metric = spec.measures.of(args.metric) if args.metric else None
    keys = past.keys(args.first, args.last)
    with tempfile.TemporaryDirectory(prefix="mlpipe-backtest-") as scratch:
        other = Counterfactual(past, spec, Path(scratch))
        with counting("judging") as tell:
            cases = list(other.decide(keys, tell))
        with counting("scoring") as tell:
            found = compared(past, other, cases, keys, metric=metric, tell=tell)
    for file, draw in ((args.html, gates_html), (args.svg, gates_svg)):
        if file:
            put(file, draw(found))
    print(json.dumps(found, ensure_ascii=False) if args.json else gates_text(found))
    return 0


def policy(args: argparse.Namespace) -> int:
    """`mlpipe backtest policy`."""
    from mlpipe.orchestration.faces import STAGES, code_version
    from mlpipe.orchestration.runtime import surroundings
    from mlpipe.stages.context import MemoryHeads, Run
    from mlpipe.stages.policies import tried
    from mlpipe.views.policies import as_html, as_svg, as_text
    from mlpipe.views.progress import lives

    past = _past(args)
    more = _policies(args.policy)
    keys = past.keys(args.first, args.last)
    around = surroundings(past.spec, past.ledger, MemoryHeads(), Run("", datetime.now(UTC)))
    codes = [code_version(past.spec, name) for name in STAGES]
    with lives(past.spec.name) as hear:
        found = tried(
            past,
            around,
            keys,
            more=more,
            only=args.only,
            metric=args.metric,
            codes=codes,
            hear=hear,
            tell=lambda done, total: hear("scoring", done, total, ""),
        )
    for file, draw in ((args.html, as_html), (args.svg, as_svg)):
        if file:
            put(file, draw(found))
    print(json.dumps(found, ensure_ascii=False) if args.json else as_text(found))
    return 0


def _policies(given: Sequence[str]) -> "dict[str, Policy]":
    """Policies from files, by name.

    Raises
    ------
    MlpipeError
        A name that is none, or is given twice; and what is wrong with a file.
    """
    from mlpipe.spec.yaml_file import policy_file
    from mlpipe.stages.policies import STANDARD
    from mlpipe.stages.retraining import policy_of

    out: dict[str, Policy] = {}
    for text in given:
        name, _, file = text.partition("=")
        fix = "Write --policy calm=calm.yaml."
        if not _NAME.fullmatch(name) or not file:
            raise MlpipeError(
                f"--policy {text!r} is no NAME=FILE with a name of a-z, 0-9 and -, at most 30", fix=fix
            )
        if name in out or name in STANDARD:
            why = "was given before" if name in out else "is one of mlpipe's own policies"
            raise MlpipeError(f"--policy {text!r}: the name {name!r} {why}", fix="Give it another name.")
        made = policy_of(policy_file(Path(file)))
        assert made is not None
        out[name] = made
    return out


def checks(args: argparse.Namespace) -> int:
    """`mlpipe backtest checks`."""
    from mlpipe.spec.overlaid import contracted_by
    from mlpipe.stages.rechecked import rechecked
    from mlpipe.views.backtest import checks_text
    from mlpipe.views.progress import counting

    past = _past(args)
    spec = contracted_by(past.spec, Path(args.contract)) if args.contract else past.spec
    with tempfile.TemporaryDirectory(prefix="mlpipe-backtest-") as scratch, counting("checking") as tell:
        found = rechecked(past, spec, past.keys(args.first, args.last), Path(scratch), tell=tell)
    print(json.dumps(found, ensure_ascii=False) if args.json else checks_text(found))
    return 0
