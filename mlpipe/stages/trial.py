"""What the checks of a smoke test hand on to one another, and what each of them answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlpipe.errors import MlpipeError
from mlpipe.records.record import Record
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.context import Context
from mlpipe.stages.dataset import Dataset
from mlpipe.stages.runner import Result, Stage, run_stage
from mlpipe.stages.sample import Chosen
from mlpipe.stores.backend import Backend
from mlpipe.stores.bundles import Bundle
from mlpipe.stores.content import Put
from mlpipe.stores.store import Store

Status = Literal["ok", "warning", "failed", "not applicable"]


@dataclass(frozen=True)
class Answer:
    """What a check found: one sentence, and where it helps the single findings."""

    status: Status
    sentence: str
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One line of the report. `error` is what was raised, if anything was."""

    name: str
    answer: Answer
    seconds: float
    error: Exception | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for views and machines."""
        return {
            "name": self.name,
            "status": self.answer.status,
            "sentence": self.answer.sentence,
            "findings": list(self.answer.findings),
            "seconds": round(self.seconds, 3),
        }


class NotApplicableError(MlpipeError):
    """A check has nothing to look at; the sentence says why."""


class Kept:
    """Keeps what a body raises: the boundary at which an error becomes the answer of a check."""

    error: Exception | None = None

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception):
            self.error = error
        return isinstance(error, Exception)


class Watched(Store):
    """A store that keeps the models put into it as they were in memory, also those that it could not store."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.drafts: list[Bundle] = []

    def put_bundle(self, bundle: Bundle, trusted: Sequence[str | type] = ()) -> Put:
        """As any store."""
        self.drafts.append(bundle)
        return super().put_bundle(bundle, trusted)


@dataclass
class Trial:
    """One pipeline under test: what was asked, and what the checks have made so far.

    Attributes
    ----------
    declared, spec
        The specification as it stands, and as it is tried: with time limits, and without limits that a sample cannot meet.
    rows
        Rows to learn from and judge on, about.
    chosen
        Which partitions are read; None before, and where that cannot be said.
    raw, good
        Partitions that could be read, and those that keep the contract.
    known, different
        Rows of `chosen.read` with a known label, before any were left out, and how many different labels they have.
    whole
        Whether the sample is all that a training would see.
    data
        The labelled rows of the sample.
    model
        What came out of the training, before it was stored.
    trained
        Result of the training; None where the model could not be stored, and then `refused` says why.
    """

    declared: PipelineSpec
    spec: PipelineSpec
    ctx: Context
    rows: int
    chosen: Chosen | None = None
    raw: tuple[str, ...] = ()
    good: tuple[str, ...] = ()
    known: int = 0
    different: int = 0
    whole: bool = False
    data: Dataset | None = None
    model: Bundle | None = None
    trained: Result | None = None
    refused: MlpipeError | None = None
    records: dict[str, list[Record]] = field(default_factory=dict)

    @property
    def store(self) -> Watched:
        """The store of the trial."""
        assert isinstance(self.ctx.store, Watched)
        return self.ctx.store

    @property
    def read(self) -> list[str]:
        """Partitions of the training window that were read and keep the contract."""
        good = set(self.good)
        return [k for k in (self.chosen.read if self.chosen else ()) if k in good]

    def run(self, stage: Stage, keys: Sequence[str]) -> list[Record]:
        """All records of a stage so far. Those of partitions done before it raises are kept too."""
        done = self.records.setdefault(stage.name, [])
        for record in run_stage(stage, self.spec, keys, self.ctx):
            done.append(record)
        return done


def raised(error: Exception) -> Answer:
    """An error as an answer: where and what in one sentence, then the findings and what to do."""
    if not isinstance(error, MlpipeError):
        return Answer(
            "failed", f"{type(error).__name__}: {first_line(error)}", ("--debug shows the traceback.",)
        )
    where = f"{error.where}: " if error.where else ""
    findings = [str(f) for f in error.findings] + ([error.fix] if error.fix else [])
    return Answer("failed", f"{where}{error.what}", tuple(findings))


def first_line(error: Exception) -> str:
    """First line of an error; of mlpipe's own, what it says without where and fix."""
    text = error.what if isinstance(error, MlpipeError) else str(error)
    return (text.strip().splitlines() or [""])[0]
