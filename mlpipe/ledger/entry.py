"""One decision as a frozen value, and its canonical bytes.

The bytes of an entry are canonical JSON: sorted keys, no spaces, UTF-8. So there is exactly one spelling of
an entry, and any other byte in its file is damage. Its hash covers everything but the hash itself, the hash
of the entry before it included, which makes the entries a chain.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Self, TypedDict

from mlpipe.errors import LedgerError, did_you_mean

SCHEMA = 1
"""Version of the layout of an entry. A reader refuses one that it does not know."""

KINDS = ("register", "promote", "refuse", "rollback", "override", "claim", "acknowledge")
STAGES = ("candidate", "staging", "production", "archived")
ROLES = ("human", "schedule", "sensor", "backfill", "experiment", "service")
"""Who acts: a person, the nightly schedule, a sensor, a backfill, an experiment, or another program."""

REASON_LIMIT = 2000
"""Most characters of a reason."""

LAST_NUMBER = 99_999_999

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+@-]{0,99}")
_TEXT_LIMIT = 200


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is decided, before it has a place in the chain.

    Parameters
    ----------
    kind
        One of `KINDS`.
    actor
        Who decides: a user name, or the name of the schedule or sensor. 1 to 200 characters.
    role
        One of `ROLES`.
    reason
        Why, in words. 1 to `REASON_LIMIT` characters, not only spaces.
    effective_at
        The moment from which the decision holds, on the clock of the data. Aware; kept in UTC to the
        microsecond.
    version
        The version that is decided about, from 1. None for a claim or an acknowledgement.
    bundle, evaluation
        Ids of the model bundle and of the record of its evaluation.
    from_stage, to_stage
        The version's stage before and after, of `STAGES`.
    from_version, to_version
        The champion before and after, for moves of production.
    trigger
        Why the run was started: ``schedule``, ``drift``, ``performance``, ``data``, ``manual``, or others.
    logical_date
        The partition that the decision belongs to, or an ISO date.
    details
        JSON values only: gate decisions, the end of the data, ids of records. Copied.

    Raises
    ------
    LedgerError
        A field has a value that is not allowed.
    """

    kind: str
    actor: str
    role: str
    reason: str
    effective_at: datetime
    version: int | None = None
    bundle: str | None = None
    evaluation: str | None = None
    from_stage: str | None = None
    to_stage: str | None = None
    from_version: int | None = None
    to_version: int | None = None
    trigger: str | None = None
    logical_date: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_one_of("kind", self.kind, KINDS)
        check_one_of("role", self.role, ROLES)
        check_text("actor", self.actor)
        check_text("reason", self.reason, REASON_LIMIT)
        for name in ("bundle", "evaluation", "trigger", "logical_date"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        for name in ("from_stage", "to_stage"):
            if getattr(self, name) is not None:
                check_one_of(name, getattr(self, name), STAGES)
        for name in ("version", "from_version", "to_version"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name))
        object.__setattr__(self, "effective_at", utc("effective_at", self.effective_at))
        if not isinstance(self.details, Mapping):
            raise LedgerError(
                f"The details of an entry must be a mapping. Got {type(self.details).__name__}."
            )
        object.__setattr__(self, "details", _plain_json(self.details, "details"))


class Fields(TypedDict, total=False):
    """The fields of a `Draft` besides its kind, while they are put together."""

    actor: str
    role: str
    reason: str
    effective_at: datetime
    version: int | None
    bundle: str | None
    evaluation: str | None
    from_stage: str | None
    to_stage: str | None
    from_version: int | None
    to_version: int | None
    trigger: str | None
    logical_date: str | None
    details: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Entry(Draft):
    """A decision at its place in one chain. Made by `seal` and `from_bytes`.

    Parameters
    ----------
    number
        Place in the chain, from 1.
    previous
        Hash of the entry before it; "" for the first.
    hash
        BLAKE2b-160 in hex over all other fields.
    nonce
        Chance text of the writer, by which it recognises its own entry when a create is repeated.
    pipeline, segment, deployment
        The chain that the entry belongs to. `segment` is None for a pipeline without segments.
    recorded_at
        The writer's wall clock. Aware; kept in UTC to the microsecond.
    """

    number: int
    previous: str
    hash: str
    nonce: str
    pipeline: str
    segment: str | None
    deployment: str
    recorded_at: datetime

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("number", self.number)
        for name in ("previous", "hash", "nonce"):
            if not isinstance(getattr(self, name), str):
                raise LedgerError(f"The {name} of an entry must be text. Got {getattr(self, name)!r}.")
        check_chain_names(self.pipeline, self.segment, self.deployment)
        object.__setattr__(self, "recorded_at", utc("recorded_at", self.recorded_at))

    @classmethod
    def seal(
        cls,
        draft: Draft,
        *,
        after: Self | None,
        chain: tuple[str, str | None, str],
        nonce: str,
        recorded_at: datetime,
    ) -> Self:
        """Give `draft` the place after the entry `after` in `chain` (pipeline, segment, deployment)."""
        pipeline, segment, deployment = chain
        entry = cls(
            **{f.name: getattr(draft, f.name) for f in fields(Draft)},
            number=after.number + 1 if after else 1,
            previous=after.hash if after else "",
            hash="",
            nonce=nonce,
            pipeline=pipeline,
            segment=segment,
            deployment=deployment,
            recorded_at=recorded_at,
        )
        return replace(entry, hash=entry.digest())

    def digest(self) -> str:
        """Hash that the entry should bear: BLAKE2b-160 in hex over the canonical JSON without `hash`."""
        plain = self._plain()
        del plain["hash"]
        return hashlib.blake2b(_canonical(plain), digest_size=20).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON of all fields."""
        return _canonical(self._plain())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises
        ------
        LedgerError
            The bytes are no canonical JSON object of exactly the fields of an entry, a field has a value that
            is not allowed, the schema is unknown, or the hash does not match.
        """
        try:
            plain = json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise LedgerError(f"The entry is not readable JSON ({error}).") from None
        if not isinstance(plain, dict):
            raise LedgerError("The entry is not a JSON object.")
        _check_schema(plain.pop("schema", None))
        expected = {f.name for f in fields(cls)}
        if plain.keys() != expected:
            odd = ", ".join(sorted(plain.keys() ^ expected))
            raise LedgerError(f"The entry has not exactly the fields of schema {SCHEMA}: {odd}.")
        for name in ("effective_at", "recorded_at"):
            plain[name] = parse_time(name, plain[name])
        entry = cls(**plain)
        if entry.to_bytes() != data:
            raise LedgerError("The entry is not spelled canonically: its bytes were edited.")
        if entry.hash != entry.digest():
            raise LedgerError("The entry's hash does not match its content: it was edited.")
        return entry

    def describe(self) -> str:
        """Who did what and when, as part of a sentence."""
        about = f" version {self.version}" if self.version is not None else ""
        return f"{self.decision}{about} by {self.actor} ({self.role}) at {spell_time(self.recorded_at)}"

    @property
    def stages(self) -> bool:
        """Whether it puts a version onto staging: a claim of that stage, which an mlpipe that knows no staging reads as any claim."""
        return self.kind == "claim" and self.to_stage == "staging"

    @property
    def unstages(self) -> bool:
        """Whether it takes a version off staging: a claim too, for the same reason."""
        return self.kind == "claim" and self.version is not None and self.to_stage == "candidate"

    @property
    def decision(self) -> str:
        """The kind, as people are told it."""
        if self.unstages:
            return "unstage"
        if not self.stages:
            return self.kind
        return "stage by override" if self.details.get("override") else "stage"

    def _plain(self) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["effective_at"] = spell_time(self.effective_at)
        plain["recorded_at"] = spell_time(self.recorded_at)
        return {"schema": SCHEMA, **plain}


def check_chain_names(pipeline: str, segment: str | None, deployment: str) -> None:
    """Raise `LedgerError` unless the names of a chain may become folders."""
    named = {"pipeline": pipeline, "deployment": deployment}
    if segment is not None:
        named["segment"] = segment
    for what, name in named.items():
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise LedgerError(
                f"The {what} of a ledger may not be {str(name)[:80]!r}.",
                fix="Use 1 to 100 of A-Z a-z 0-9 . _ = + @ - and start with a letter or digit.",
            )


def check_text(what: str, value: str, limit: int = _TEXT_LIMIT) -> None:
    """Raise `LedgerError` unless `value` is text of 1 to `limit` characters, not only spaces, in UTF-8."""
    if not isinstance(value, str):
        raise LedgerError(f"The {what} of an entry must be text. Got {value!r}.")
    if not value.strip():
        raise LedgerError(f"The {what} of an entry is empty.", fix=f"Give a {what}: it is kept for good.")
    if len(value) > limit:
        raise LedgerError(
            f"The {what} of an entry has {len(value)} characters; at most {limit} are allowed.",
            fix=f"Shorten the {what}.",
        )
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise LedgerError(f"The {what} of an entry holds half a character: {value[:80]!r}.") from None


def check_one_of(what: str, value: str, known: Sequence[str]) -> None:
    """Raise `LedgerError` unless `value` is one of `known`."""
    if value not in known:
        raise LedgerError(f"The {what} {value!r} is unknown.", fix=did_you_mean(str(value), known))


def utc(what: str, value: datetime) -> datetime:
    """`value` as a plain datetime in UTC, to the microsecond. Raises `LedgerError` without a time zone."""
    if not isinstance(value, datetime) or value.tzinfo is None or value.utcoffset() is None:
        raise LedgerError(
            f"The {what} of a decision must be a datetime with a time zone. Got {value!r}.",
            fix="For example: datetime(2024, 3, 3, 14, 3, tzinfo=UTC).",
        )
    return datetime.fromisoformat(value.astimezone(UTC).isoformat(timespec="microseconds"))


def spell_time(value: datetime) -> str:
    """ISO text in UTC with microseconds, the one spelling of a moment in the ledger."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def parse_time(what: str, value: object) -> datetime:
    """Read what `spell_time` wrote. Raises `LedgerError` for anything else."""
    try:
        return utc(what, datetime.fromisoformat(str(value)))
    except ValueError:
        raise LedgerError(f"The {what} of an entry is no ISO time: {str(value)[:80]!r}.") from None


def _check_number(what: str, value: int) -> None:
    if type(value) is not int or not 1 <= value <= LAST_NUMBER:
        raise LedgerError(f"The {what} of an entry must be an int in [1, {LAST_NUMBER}]. Got {value!r}.")


def _check_schema(schema: object) -> None:
    if type(schema) is not int or schema != SCHEMA:
        raise LedgerError(
            f"The entry is of schema {schema!r}; this mlpipe reads schema {SCHEMA}.",
            fix="Use the mlpipe that wrote it, or a later one.",
        )


def _plain_json(value: object, where: str) -> Any:
    """Copy of `value` in plain JSON types. Raises `LedgerError` naming the place of anything else."""
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:
            raise LedgerError(f"A key in {where} is not text: {odd!r}.")
        return {str(key): _plain_json(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if value is None or type(value) in (bool, int, str):
        return value
    raise LedgerError(
        f"{where} holds {value!r} ({type(value).__name__}), which JSON cannot hold.",
        fix="Use text, finite numbers, booleans, None, lists and mappings of them.",
    )


def _canonical(plain: Mapping[str, Any]) -> bytes:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise LedgerError(
            "The details of the entry hold half a character, which UTF-8 cannot hold."
        ) from None
