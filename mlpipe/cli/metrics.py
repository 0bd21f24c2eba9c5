"""`mlpipe metrics`: what Prometheus is told, printed, served or pushed."""

import argparse
from contextlib import suppress
from typing import Any

from mlpipe.cli.command import DEBUG, warn

HELP = """\
Gauges in Prometheus' text format, read from the newest records and the ledger at each scrape: PSI by column, PSI of the score, realised
metrics, service levels, the champion's version, when each asset was last made, and conditions that are open. No code of a pipeline is
loaded. Rules that alert on them: docs/runbooks/prometheus-rules.yml; what to do then: docs/runbooks/.

examples:
  mlpipe metrics show flights
  mlpipe metrics serve flights --port 9464
  mlpipe metrics push flights --to http://pushgateway:9091"""
PORT = 9464


def add(commands: Any) -> None:
    """Declare the commands."""
    text = "What Prometheus is told about pipelines: printed, served, or pushed."
    top = commands.add_parser(
        "metrics",
        help=text,
        description=text,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(required=True, metavar="VERB")
    _verb(verbs, "show", show, "Print the metrics once.")
    made = _verb(verbs, "serve", serve, "Answer scrapes of Prometheus at /metrics, until Ctrl-C.")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine alone")
    made.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}; 0 takes a free one")
    made = _verb(
        verbs, "push", push, "Put the metrics onto a Pushgateway, for places that Prometheus cannot reach."
    )
    made.add_argument(
        "--to", metavar="URL", required=True, help="the Pushgateway, such as http://localhost:9091"
    )
    made.add_argument("--job", default="mlpipe", help="job under which they stand there; default: mlpipe")


def _verb(verbs: Any, name: str, call: Any, text: str) -> Any:
    made = verbs.add_parser(
        name, help=text, description=text, epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.set_defaults(call=call, sync=False)
    made.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG)
    made.add_argument("pipelines", metavar="PIPELINE", nargs="*", help="default: all of the store")
    made.add_argument(
        "--store",
        metavar="URL",
        help="the store; default: $MLPIPE_STORE, else $DAGSTER_HOME/mlpipe, else ./.mlpipe",
    )
    made.add_argument("--ledger", metavar="NAME", help="the chain of decisions; default: the deployment's")
    return made


def _text(args: argparse.Namespace) -> str:
    from mlpipe.cli.looking import shelf
    from mlpipe.notify.exposition import exposed
    from mlpipe.notify.metrics import families

    with shelf(args) as records:
        return exposed(families(records, args.pipelines))


def show(args: argparse.Namespace) -> None:
    """`mlpipe metrics show`."""
    print(_text(args), end="")


def serve(args: argparse.Namespace) -> None:
    """`mlpipe metrics serve`."""
    from mlpipe.notify.endpoint import server

    # What is wrong with the store or a name is said at once, and not to Prometheus.
    _text(args)
    with server(lambda: _text(args), args.host, args.port, warn) as listening:
        host, port = listening.server_address[:2]
        print(f"Metrics: http://{host!s}:{port}/metrics (Ctrl-C ends it)", flush=True)
        # Ctrl-C is how it is ended, and no mishap.
        with suppress(KeyboardInterrupt):
            listening.serve_forever()


def push(args: argparse.Namespace) -> None:
    """`mlpipe metrics push`."""
    from mlpipe.notify.endpoint import push as pushed

    text = _text(args)
    pushed(text, args.to, args.job)
    count = sum(not line.startswith("#") for line in text.splitlines())
    print(f"Pushed {count} samples as job {args.job!r}.")
