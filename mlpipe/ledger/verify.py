"""Every chain of decisions in a store: which there are, and whether they are whole."""

from mlpipe.errors import Finding
from mlpipe.ledger.chain import Ledger
from mlpipe.stores.backend import Backend


def chains(backend: Backend, pipeline: str | None = None) -> list[tuple[str, str | None, str]]:
    """Pipeline, segment (None without) and deployment of each chain that has entries, of one pipeline or of all; sorted."""
    below = "ledger" if pipeline is None else f"ledger/{pipeline}"
    found = {tuple(path.split("/")[1:4]) for path, _ in backend.list(below) if path.count("/") >= 4}
    return [(p, None if s == "_" else s, d) for p, s, d in sorted(found)]


def verify_all(backend: Backend) -> tuple[int, tuple[Finding, ...]]:
    """Number of chains, and everything that is wrong with them.

    A truncated tail shows only against the mirror in Dagster; see `Ledger.verify`.
    """
    found = chains(backend)
    ledgers = [Ledger(backend, p, segment=s, deployment=d) for p, s, d in found]
    return len(found), tuple(finding for ledger in ledgers for finding in ledger.verify())
