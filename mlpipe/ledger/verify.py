"""Every chain of decisions in a store: which there are, and whether they are whole."""

from collections.abc import Sequence

from mlpipe.errors import Finding
from mlpipe.ledger.chain import Ledger
from mlpipe.stores.backend import Backend

DEPLOYMENTS = ("dev", "stage", "prod")
"""Names of chains that serve; any other is that of a replay or of a policy that was tried."""


def chains(backend: Backend, pipeline: str | None = None) -> list[tuple[str, str | None, str]]:
    """Pipeline, segment (None without) and deployment of each chain that has entries, of one pipeline or of all; sorted."""
    below = "ledger" if pipeline is None else f"ledger/{pipeline}"
    found = {tuple(path.split("/")[1:4]) for path, _ in backend.list(below) if path.count("/") >= 4}
    return [(p, None if s == "_" else s, d) for p, s, d in sorted(found)]


def meant(names: Sequence[str]) -> str | None:
    """Of a pipeline's chains the one that is meant where none is named: ``dev``, else the only deployment, else the only one; or None."""
    serve = [name for name in names if name in DEPLOYMENTS] or list(names)
    return "dev" if "dev" in serve else serve[0] if len(set(serve)) == 1 else None


def others(backend: Backend, ledger: Ledger) -> list[str]:
    """Names of further chains with decisions of the same pipeline and segment: of deployments, replays and policies that were tried."""
    own = ledger.segment, ledger.deployment
    return [d for _, s, d in chains(backend, ledger.pipeline) if s == own[0] and d != own[1]]


def verify_all(backend: Backend) -> tuple[int, tuple[Finding, ...]]:
    """Number of chains, and everything that is wrong with them.

    A truncated tail shows only against the mirror in Dagster; see `Ledger.verify`.
    """
    found = chains(backend)
    ledgers = [Ledger(backend, p, segment=s, deployment=d) for p, s, d in found]
    return len(found), tuple(finding for ledger in ledgers for finding in ledger.verify())
