"""Verify every chain of decisions in a store."""

from mlpipe.errors import Finding
from mlpipe.ledger.chain import Ledger
from mlpipe.stores.backend import Backend


def verify_all(backend: Backend) -> tuple[int, tuple[Finding, ...]]:
    """Number of chains, and everything that is wrong with them.

    A truncated tail shows only against the mirror in Dagster; see `Ledger.verify`.
    """
    chains = sorted(
        {tuple(path.split("/")[1:4]) for path, _ in backend.list("ledger") if path.count("/") >= 4}
    )
    findings = [
        f
        for p, s, d in chains
        for f in Ledger(backend, p, segment=None if s == "_" else s, deployment=d).verify()
    ]
    return len(chains), tuple(findings)
