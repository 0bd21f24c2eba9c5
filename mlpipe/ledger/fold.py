"""From a chain of decisions to what holds: versions, their stages, the champion. Pure.

Two clocks. `known_at` cuts by `recorded_at`: what had been written down by then; an entry counts as known
only once all before it are, so clocks that disagree cannot tear a chain. `as_of` keeps the entries whose
`effective_at` is not later, in the order of the chain: what held at that moment of the data. Any such
selection folds, because a move of production is never dated before the move it follows, nor before the
registration of its version.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from mlpipe.errors import LedgerError, did_you_mean
from mlpipe.ledger.entry import Entry, Fields, parse_time, spell_time, utc


@dataclass(frozen=True)
class Version:
    """One registered model.

    `registered_at` is when the registration took effect; `data_end` the end of the data it was trained on;
    `trigger` why the training was started. `details` are those of the registration. `reason` is that of the
    last decision about the version, `decision` its kind (promote, refuse, override, rollback), None while
    there is none (a move onto staging decides nothing yet); `entries` the numbers of all entries about it,
    the registration first. A version that was rolled back stays marked for good.
    """

    number: int
    bundle: str
    evaluation: str | None
    stage: str
    registered_at: datetime
    data_end: datetime
    trigger: str | None
    reason: str
    details: Mapping[str, Any]
    rolled_back: bool
    decision: str | None
    entries: tuple[int, ...]

    def fields(self) -> Fields:
        """What an entry about this version says of it.

        A version on staging is spelled as the candidate that it still is: so a chain also folds where staging is not known.
        """
        stage = "candidate" if self.stage == "staging" else self.stage
        return Fields(version=self.number, bundle=self.bundle, evaluation=self.evaluation, from_stage=stage)


@dataclass(frozen=True)
class Move:
    """One change of the champion: entry `number`, of `kind` promote, override or rollback."""

    number: int
    kind: str
    from_version: int | None
    to_version: int
    actor: str
    role: str
    trigger: str | None
    reason: str
    effective_at: datetime
    recorded_at: datetime


@dataclass(frozen=True)
class State:
    """What holds after some entries. Mappings are not to be changed.

    Parameters
    ----------
    versions
        By number, ascending.
    champion
        The version in production, or None.
    previous_champion
        The last version before it that was champion and was not rolled back: where a rollback goes. Or None.
    champion_since
        When the last move took effect, or None.
    anchor
        The first champion ever, or None.
    challenger
        The newest candidate (on staging or not) that was registered after the champion, or None. Newest by `registered_at`, then
        number.
    paused
        True from a rollback until it is acknowledged: no automatic promotion.
    history
        Every move of production, in order.
    next_version
        Number for the next registration, from 1.
    claims
        Number of the entry that claimed each name.
    """

    versions: Mapping[int, Version]
    champion: Version | None
    previous_champion: Version | None
    champion_since: datetime | None
    anchor: Version | None
    challenger: Version | None
    paused: bool
    history: tuple[Move, ...]
    next_version: int
    claims: Mapping[str, int]

    def with_evidence(self, bundle: str, evaluation: str | None) -> Version | None:
        """The version registered for this bundle and this evaluation, or None."""
        for version in self.versions.values():
            if (version.bundle, version.evaluation) == (bundle, evaluation):
                return version
        return None

    def was_rolled_back(self, bundle: str) -> bool:
        """Whether any version of this bundle was ever rolled back."""
        return any(v.rolled_back and v.bundle == bundle for v in self.versions.values())

    def registered(self, number: int, *, where: str = "") -> Version:
        """Version `number`. Raises `LedgerError`, placed at `where`, when there is none."""
        if number not in self.versions:
            known = did_you_mean(str(number), [str(n) for n in self.versions])
            fix = known or "No version is registered yet."
            raise LedgerError(f"There is no version {number}.", where=where, fix=fix)
        return self.versions[number]

    def rollback_target(self, to: int | None = None, *, where: str = "") -> Version:
        """The version that a rollback goes to: `previous_champion`, or `to`.

        Raises
        ------
        LedgerError
            Placed at `where`: there is no champion; `to` is not registered, is champion, never was, or was
            rolled back itself; or `to` is None and no earlier champion is left.
        """
        if self.champion is None:
            raise LedgerError(
                "There is no champion to roll back.", where=where, fix="Promote a version first."
            )
        earlier = sorted({move.to_version for move in self.history} - {self.champion.number})
        good = [number for number in earlier if not self.versions[number].rolled_back]
        if to is None:
            if self.previous_champion is not None:
                return self.previous_champion
            what = f"No earlier champion is left to go back to from version {self.champion.number}."
        elif self.registered(to, where=where).number in good:
            return self.versions[to]
        elif to == self.champion.number:
            what = f"Version {to} is the champion already."
        elif to in earlier:
            what = f"Version {to} was rolled back itself."
        else:
            what = f"Version {to} never was champion."
        fix = f"One may go back to: {', '.join(map(str, good)) or 'none; promote a version instead'}."
        raise LedgerError(what, where=where, fix=fix)


def fold(
    entries: Iterable[Entry], *, as_of: datetime | None = None, known_at: datetime | None = None
) -> State:
    """What holds after `entries`.

    Parameters
    ----------
    entries
        A verified chain, or a prefix of one, in order.
    as_of
        Keep decisions that took effect by then (inclusive). None: all.
    known_at
        Keep decisions that were recorded by then (inclusive). None: all.

    Raises
    ------
    LedgerError
        An entry carries an impossible transition, or a clock has no time zone.
    """
    if known_at is not None:
        known = utc("known_at", known_at)
        entries = takewhile(lambda entry: entry.recorded_at <= known, entries)
    if as_of is not None:
        moment = utc("as_of", as_of)
        entries = (entry for entry in entries if entry.effective_at <= moment)
    folding = _Fold()
    for entry in entries:
        folding.apply(entry)
    return folding.state()


class _Fold:
    """The state while it is built. Every `_apply` checks first and changes after."""

    def __init__(self) -> None:
        self.versions: dict[int, Version] = {}
        self.champion: int | None = None
        self.paused = False
        self.history: list[Move] = []
        self.claims: dict[str, int] = {}

    def apply(self, entry: Entry) -> None:
        if entry.kind == "register":
            self._register(entry)
        elif entry.kind == "refuse":
            self._refuse(entry)
        elif entry.kind == "claim":
            self._claim(entry)
        elif entry.kind == "acknowledge":
            self._acknowledge(entry)
        else:
            self._move(entry)

    def _register(self, entry: Entry) -> None:
        number, bundle = entry.version, entry.bundle
        if number is None or bundle is None or "data_end" not in entry.details:
            raise _impossible(entry, "It registers without a version, a bundle or the end of its data.")
        last = next(reversed(self.versions), 0)
        if number <= last:
            raise _impossible(entry, f"It registers version {number}, but version {last} exists already.")
        _expect(entry, "stage", (entry.from_stage, entry.to_stage), (None, "candidate"))
        self.versions[number] = Version(
            number=number,
            bundle=bundle,
            evaluation=entry.evaluation,
            stage="candidate",
            registered_at=entry.effective_at,
            data_end=parse_time("data_end", entry.details["data_end"]),
            trigger=entry.trigger,
            reason=entry.reason,
            details=entry.details,
            rolled_back=False,
            decision=None,
            entries=(entry.number,),
        )

    def _refuse(self, entry: Entry) -> None:
        version = self._version(entry)
        if version.stage not in ("candidate", "staging"):
            raise _impossible(entry, f"It refuses version {version.number}, which is {version.stage}.")
        self._decide(entry, version)

    def _claim(self, entry: Entry) -> None:
        name = entry.details.get("name")
        if not isinstance(name, str) or not name:
            raise _impossible(entry, "It claims nothing: details['name'] is missing.")
        if name in self.claims:
            raise _impossible(entry, f"It claims {name!r}, which entry {self.claims[name]} claimed before.")
        if entry.stages or entry.unstages:
            self._stage(entry, *(("candidate", "staging") if entry.stages else ("staging", "candidate")))
        self.claims[name] = entry.number

    def _stage(self, entry: Entry, before: str, after: str) -> None:
        version = self._version(entry)
        _expect(entry, "stage", (entry.from_stage, version.stage), ("candidate", before))
        entries = (*version.entries, entry.number)
        self.versions[version.number] = replace(version, stage=after, reason=entry.reason, entries=entries)

    def _acknowledge(self, entry: Entry) -> None:
        if not self.paused:
            raise _impossible(entry, "It acknowledges a rollback, but none is open.")
        self._check_order(entry)
        self.paused = False

    def _move(self, entry: Entry) -> None:
        version = self._version(entry)
        before = version.fields()["from_stage"]
        _expect(entry, "stage", (entry.from_stage, entry.to_stage), (before, "production"))
        _expect(entry, "champion", (entry.from_version, entry.to_version), (self.champion, version.number))
        if version.number == self.champion:
            raise _impossible(entry, f"Version {version.number} is champion already.")
        self._check_order(entry)
        bad = any(v.rolled_back and v.bundle == version.bundle for v in self.versions.values())
        if entry.kind == "promote" and bad:
            raise _impossible(entry, f"It promotes version {version.number}, whose bundle was rolled back.")
        if entry.kind == "rollback":
            self._check_rollback(entry, version)
        if self.champion is not None:
            old = self.versions[self.champion]
            if entry.kind == "rollback":
                old = replace(
                    old, rolled_back=True, reason=entry.reason, entries=(*old.entries, entry.number)
                )
            self.versions[old.number] = replace(old, stage="archived")
        self._decide(entry, version, stage="production")
        self.paused = self.paused or entry.kind == "rollback"
        self.history.append(
            Move(
                number=entry.number,
                kind=entry.kind,
                from_version=self.champion,
                to_version=version.number,
                actor=entry.actor,
                role=entry.role,
                trigger=entry.trigger,
                reason=entry.reason,
                effective_at=entry.effective_at,
                recorded_at=entry.recorded_at,
            )
        )
        self.champion = version.number

    def _check_rollback(self, entry: Entry, version: Version) -> None:
        if all(move.to_version != version.number for move in self.history):
            raise _impossible(entry, f"It goes back to version {version.number}, which never was champion.")
        if version.rolled_back:
            raise _impossible(
                entry, f"It goes back to version {version.number}, which was rolled back itself."
            )

    def _check_order(self, entry: Entry) -> None:
        if self.history and entry.effective_at < self.history[-1].effective_at:
            last = self.history[-1]
            raise _impossible(
                entry,
                f"It takes effect at {spell_time(entry.effective_at)}, before the last move of production "
                f"(entry {last.number}, {spell_time(last.effective_at)}).",
            )

    def _version(self, entry: Entry) -> Version:
        version = self.versions.get(entry.version) if entry.version is not None else None
        if version is None:
            raise _impossible(entry, f"Version {entry.version} is not registered.")
        _expect(entry, "evidence", (entry.bundle, entry.evaluation), (version.bundle, version.evaluation))
        if entry.effective_at < version.registered_at:
            raise _impossible(
                entry,
                f"It takes effect at {spell_time(entry.effective_at)}, before version {version.number} was "
                f"registered ({spell_time(version.registered_at)}).",
            )
        return version

    def _decide(self, entry: Entry, version: Version, stage: str | None = None) -> None:
        self.versions[version.number] = replace(
            version,
            stage=stage or version.stage,
            reason=entry.reason,
            decision=entry.kind,
            entries=(*version.entries, entry.number),
        )

    def state(self) -> State:
        champion = self._named(self.champion)
        return State(
            versions=dict(self.versions),
            champion=champion,
            previous_champion=self._previous(),
            champion_since=self.history[-1].effective_at if self.history else None,
            anchor=self._named(self.history[0].to_version if self.history else None),
            challenger=_challenger(self.versions.values(), champion),
            paused=self.paused,
            history=tuple(self.history),
            next_version=next(reversed(self.versions), 0) + 1,
            claims=dict(self.claims),
        )

    def _named(self, number: int | None) -> Version | None:
        return None if number is None else self.versions[number]

    def _previous(self) -> Version | None:
        for move in reversed(self.history):
            version = self.versions[move.to_version]
            if version.number != self.champion and not version.rolled_back:
                return version
        return None


def _challenger(versions: Iterable[Version], champion: Version | None) -> Version | None:
    open_ones = [v for v in versions if v.stage in ("candidate", "staging")]
    if champion is not None:
        open_ones = [v for v in open_ones if _age(v) > _age(champion)]
    return max(open_ones, key=_age, default=None)


def _age(version: Version) -> tuple[datetime, int]:
    return version.registered_at, version.number


def _expect(entry: Entry, what: str, got: Sequence[object], expected: Sequence[object]) -> None:
    if got != expected:
        raise _impossible(entry, f"It names the {what} {got}, but {expected} holds.")


def _impossible(entry: Entry, what: str) -> LedgerError:
    place = f"ledger {entry.pipeline}/{entry.segment or '_'}/{entry.deployment}, entry {entry.number}"
    return LedgerError(what, where=place, fix="Read the ledger again and decide on what holds now.")
