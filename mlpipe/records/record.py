"""The record: what one materialization was made from, with what, and what came out.

Fields are fixed from schema version 1 on; a later version may add fields with defaults, never change or remove one.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
Better = Literal["higher", "lower", ""]


class Part(BaseModel):
    """A frozen part of a record. Unknown fields of a newer minor version are kept out, not guessed at."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class MetricValue(Part):
    """One number: what it measures, on which split, whether more is better, and its interval if it has one."""

    name: str
    value: float
    better: Better = ""
    split: str = ""
    low: float | None = None
    high: float | None = None


class Input(Part):
    """One upstream materialization that was read. Without `id` only its verdict was; `version` is the data version of a foreign asset."""

    asset: str
    partition: str
    record: str
    event: str = ""
    name: str = ""
    id: str = ""
    rows: int | None = None
    version: str = ""


class Output(Part):
    """One object that was made (or found to exist already)."""

    name: str
    id: str
    rows: int | None = None
    bytes: int = 0
    sha256: str = ""


class Code(Part):
    """Which code made it: stage version, fingerprints of the user's functions, the archived project, the commit.

    `base` is the pipeline's folder within the archive (empty: its root); `withheld` says which files are not in it, and why.
    """

    stage_version: str = ""
    mlpipe: str = ""
    fingerprints: dict[str, str] = {}
    archive: str = ""
    commit: str = ""
    base: str = ""
    withheld: dict[str, str] = {}


class Environment(Part):
    """Where it ran. `id` covers what can change a result; the rest is for people.

    `flags` are the settings that make results repeatable, as they stood when the work was done; `installed` is the content id of a list of
    every installed distribution with its version.
    """

    id: str = ""
    lock: str = ""
    python: str = ""
    packages: dict[str, str] = {}
    platform: str = ""
    cpu: str = ""
    blas: str = ""
    threads: dict[str, str] = {}
    gpu: str = ""
    gpus: int = 0
    driver: str = ""
    cuda: str = ""
    flags: dict[str, str] = {}
    installed: str = ""
    image: str = ""
    host: str = ""


class Cost(Part):
    """Seconds of wall and CPU time from the first look at the inputs to the result, and the most memory held meanwhile, in MiB."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0


class Found(Part):
    """One thing worth saying about the data or the model."""

    what: str
    where: str = ""
    fix: str = ""


class Trigger(Part):
    """Why the run was started."""

    kind: str = "manual"
    reason: str = ""
    details: dict[str, str] = {}


class Record(Part):
    """Everything known about one materialization of one asset partition.

    `plots` are few points of each curve, for whoever shows the event; the whole curve is the object in `curves`.
    """

    id: str = ""
    schema_version: int = SCHEMA_VERSION
    pipeline: str
    segment: str | None = None
    deployment: str = "dev"
    stage: str
    asset: str
    partition: str
    run: str = ""
    recipe: str = ""
    reused: bool = False
    as_of: datetime
    recorded_at: datetime
    trigger: Trigger = Trigger()
    actor: str = ""
    params: dict[str, Any] = {}
    metrics: tuple[MetricValue, ...] = ()
    curves: tuple[Output, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    code: Code = Code()
    environment: Environment = Environment()
    seeds: dict[str, int] = {}
    cost: Cost = Cost()
    verdict: str = ""
    findings: tuple[Found, ...] = ()
    artifacts: tuple[Output, ...] = ()
    data: dict[str, Any] = {}
    headline: str = ""
    owners: tuple[str, ...] = ()
    experiment: str = ""
    hypothesis: str = ""
    tags: dict[str, str] = {}
    notes: str = ""
    plots: dict[str, Any] = {}

    def output(self, name: str) -> Output:
        """The output of a name.

        Raises
        ------
        KeyError
            When there is none.
        """
        for output in self.outputs:
            if output.name == name:
                return output
        raise KeyError(name)
