"""What was made from something, made again: the runs that `mlpipe impact --rebuild` launches."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from mlpipe.index.impact import Impact
from mlpipe.index.lineage import Node
from mlpipe.orchestration.jobs import INGEST, MONITOR
from mlpipe.orchestration.runs import Request
from mlpipe.spec.pipeline import PipelineSpec

REMADE = INGEST[1:]
"""Assets that are made again from rows that are there; the rows themselves are what it begins with."""


def rebuild_plan(spec: PipelineSpec, impact: Impact, reason: str = "") -> list[Request]:
    """Runs that make again what of an impact is current, and nothing else.

    Data first, then the model in production for its own partition (where it was made from it), then predictions and monitor. Neighbouring
    partitions of which the same assets are concerned go in one run. Other models stay as they are.
    """
    why = reason or f"mlpipe impact: made again what was made from {impact.of}"
    mine = [
        n
        for n in impact.made
        if n.id in impact.current and n.pipeline == spec.name and n.deployment == spec.deployment
    ]
    requests = [
        Request("ingest", first, last, assets, reason=why)
        for first, last, assets in _stretches(spec, mine, REMADE)
    ]
    for node in mine:
        if node.stage == "train" and node.id in impact.live:
            requests.append(Request("training", node.partition, node.partition, reason=why))
    requests += [
        Request("daily", first, last, assets, reason=why)
        for first, last, assets in _stretches(spec, mine, MONITOR)
    ]
    return requests


def _stretches(
    spec: PipelineSpec, nodes: Sequence[Node], assets: Sequence[str]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """First and last partition of neighbours of which the same of some assets are concerned, and these assets."""
    asked: dict[str, set[str]] = {}
    for node in nodes:
        name = node.asset.rpartition("/")[2]
        if name in assets:
            asked.setdefault(node.partition, set()).add(name)
    if not asked:
        return
    if spec.partitions.every == "none":
        for key in sorted(asked):
            yield key, key, tuple(a for a in assets if a in asked[key])
        return
    keys = spec.partitions.keys(min(asked), max(asked))
    for some, group in groupby(keys, key=lambda k: tuple(a for a in assets if a in asked.get(k, ()))):
        stretch = list(group)
        if some:
            yield stretch[0], stretch[-1], some


def told(request: Request) -> str:
    """A request in words."""
    span = request.first if request.first == request.last else f"{request.first} to {request.last}"
    what = ", ".join(request.assets) or "model, evaluation, release"
    return f"{what} of {span}"
