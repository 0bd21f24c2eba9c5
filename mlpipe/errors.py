"""One root error. Every message says what is wrong, where, and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

SHOWN = 10
"""At most this many findings are spelled out in one message; the rest are counted."""


@dataclass(frozen=True)
class Finding:
    """One mistake: what is wrong, where it stands, and how to mend it."""

    what: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{where}{self.what}{fix}"


class MlpipeError(Exception):
    """Root of everything that mlpipe raises on purpose.

    Parameters
    ----------
    what
        One sentence: what is wrong.
    where
        File and line, pipeline, asset, partition, column or key. May be empty.
    fix
        One sentence: what to do. May be empty when the findings say it.
    findings
        The single mistakes, when there are several. The message shows at most ten and counts the rest.

    Attributes
    ----------
    partitions
        Those that failed, where the others of the same step were done all the same; empty where nothing was done beside them.
    step
        The asset whose step that was, without its pipeline.
    """

    partitions: tuple[str, ...] = ()
    step: str = ""

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", findings: Sequence[Finding] = ()
    ) -> None:
        self.what, self.where, self.fix, self.findings = what, where, fix, tuple(findings)
        super().__init__(what)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        lines += _shown(self.findings[:SHOWN])
        if len(self.findings) > SHOWN:
            lines.append(f"  … and {len(self.findings) - SHOWN} more")
        if self.fix:
            lines.append(self.fix)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        state = {"partitions": self.partitions, "step": self.step} if self.partitions else None
        return _rebuild, (type(self), self.what, self.where, self.fix, self.findings), state


def _shown(findings: Sequence[Finding]) -> Iterator[str]:
    """A line a finding. A list of valid names is read once, and is the same for each of them."""
    told: set[str] = set()
    for finding in findings:
        text, mark, names = str(finding).rpartition(" Valid: ")
        yield f"  - {text}" if mark and names in told else f"  - {finding}"
        told.add(names if mark else "")


def _rebuild(
    kind: type[MlpipeError], what: str, where: str, fix: str, findings: tuple[Finding, ...]
) -> MlpipeError:
    return kind(what, where=where, fix=fix, findings=findings)


class SpecError(MlpipeError):
    """The declaration of a pipeline is wrong. Raised at load, with all mistakes at once."""


class SourceError(MlpipeError):
    """A source could not be read, or gave something other than was declared."""


class TransientError(SourceError):
    """A source failed in a way that may pass: retried with back-off, then raised."""


class DataError(MlpipeError):
    """Data has a shape or type that a stage cannot work with."""


class UserCodeError(MlpipeError):
    """A user's function raised, or returned something other than its contract says."""


class NotFoundError(MlpipeError):
    """Something that was named does not exist."""


class StoreError(MlpipeError):
    """The object store is damaged, of another version, or cannot be written."""


class BundleError(StoreError):
    """A model bundle is damaged, was tampered with, or holds a type that is not trusted."""


class LedgerError(MlpipeError):
    """The chain of decisions is broken, or an entry is not valid."""


class LedgerConflictError(LedgerError):
    """Somebody else decided first, and this decision's precondition no longer holds."""


class QueryError(MlpipeError):
    """A query is wrong. Its message shows the query with a caret under the place.

    Parameters
    ----------
    what
        One sentence: what is wrong, and what was expected.
    query
        The query as it was written.
    at
        Position of the mistake in it, from 0; its length: the end.
    fix
        One sentence: what to do. May be empty.
    """

    def __init__(self, what: str, *, query: str, at: int, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.query, self.at = query, at

    def __str__(self) -> str:
        start = max(0, self.at - 60)
        line = "".join(c if c.isprintable() else " " for c in self.query[start : self.at + 60])
        ahead, behind = "… " if start else "", " …" if self.at + 60 < len(self.query) else ""
        caret = " " * (len(ahead) + self.at - start) + "^"
        lines = [self.what, f"  {ahead}{line}{behind}", f"  {caret}"]
        return "\n".join([*lines, self.fix] if self.fix else lines)

    def __reduce__(self) -> tuple[object, ...]:
        return _query_again, (self.what, self.query, self.at, self.fix)


def _query_again(what: str, query: str, at: int, fix: str) -> QueryError:
    return QueryError(what, query=query, at=at, fix=fix)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Sentence that lists close names, or all known ones when none is close. Empty when nothing is known."""
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    return f"Valid: {', '.join(map(str, known))}." if known else ""
