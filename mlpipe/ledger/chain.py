"""One append-only chain of decisions in a store.

Who may call at once
    Any number of threads, processes and machines. Creating entry n+1 exclusively is the compare-and-set: of
    all who append at once exactly one gets the place. No server, no lock.
What a second writer sees
    The loser reads the new entries, decides again on what then holds, and tries the next place; or, when it
    named the head that it decided on (`expect`), fails with the name of the winner.
What survives a crash
    An entry whose append returned is there after a power cut. A writer that dies before leaves its entry
    whole or not at all; a repeated create that finds its own entry there, known by its nonce, has succeeded.

Nothing is written that the fold would refuse, so one mistake cannot make a chain unreadable.
"""

import random
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Unpack, overload

from mlpipe.errors import Finding, LedgerConflictError, LedgerError, NotFoundError
from mlpipe.ledger.entry import Draft, Entry, Fields, check_chain_names
from mlpipe.ledger.fold import State, fold
from mlpipe.stores.backend import Backend

ATTEMPTS = 60
"""How often an append tries the next place before it gives up. Of eight who never pause, one loses 60 times
in a row once in 3,000 appends; with the back-off far less often."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.004, 0.5
_READERS, _AHEAD = 16, 512
_NO_SEGMENT = "_"
_RESTORE = "Entries are never edited or removed: restore the folder from a copy."
_LONGEST_GAP = 64
"""When more entries than this are missing, `verify` does not look at each place."""

_FILE = re.compile(r"(\d{8})\.json")


class Ledger:
    """The chain of one pipeline, segment and deployment: ``ledger/<pipeline>/<segment or _>/<deployment>/``.

    Entries that were read and verified once are kept in memory; they never change. `verify` reads all again.

    Parameters
    ----------
    backend
        Where the entries lie.
    pipeline, segment, deployment
        Names of 1 to 100 of ``A-Z a-z 0-9 . _ = + @ -`` that start with a letter or digit.
    clock
        Gives `recorded_at` of new entries, aware. The wall clock in UTC.

    Raises
    ------
    LedgerError
        A name is not allowed.
    """

    def __init__(
        self,
        backend: Backend,
        pipeline: str,
        *,
        segment: str | None = None,
        deployment: str = "dev",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        check_chain_names(pipeline, segment, deployment)
        self.backend = backend
        self.pipeline, self.segment, self.deployment = pipeline, segment, deployment
        self.folder = f"ledger/{pipeline}/{segment or _NO_SEGMENT}/{deployment}"
        self._clock = clock
        self._verified: tuple[Entry, ...] = ()

    def entries(self) -> tuple[Entry, ...]:
        """All entries in order, verified.

        Raises
        ------
        LedgerError
            The chain is broken: names the first entry that is wrong, and what is wrong.
        """
        known = self._verified
        numbers, _ = self._listed()
        # A folder listed while others add to it may name entry 8 and not 7, and a cached listing may lag.
        # So a place is empty only when it cannot be read.
        unlisted = (n for n in range(1, len(known) + 1) if n not in numbers)
        gone = next((n for n in unlisted if self._read_one(n) is None), None)
        if gone is not None:
            raise self._missing(gone)
        new = range(len(known) + 1, max(numbers, default=0) + 1)
        chain = list(known)
        for number, data in zip(new, self._read(new), strict=True):
            chain.append(self._checked(number, data, chain[-1] if chain else None))
        if len(chain) > len(self._verified):
            self._verified = tuple(chain)
        return tuple(chain)

    def head(self) -> Entry | None:
        """The last entry, or None when there is none."""
        entries = self.entries()
        return entries[-1] if entries else None

    def state(self, *, as_of: datetime | None = None, known_at: datetime | None = None) -> State:
        """What holds after all entries. See `fold` for the two clocks."""
        return fold(self.entries(), as_of=as_of, known_at=known_at)

    def append(
        self,
        kind: str,
        *,
        expect: int | None = None,
        check: Callable[[State], None] | None = None,
        **fields: Unpack[Fields],
    ) -> Entry:
        """Add one entry.

        Parameters
        ----------
        kind
            One of `KINDS`.
        expect
            Number of the head that this was decided on, 0 for an empty chain. The append fails when another
            entry has come since. None: try again until a place is won.
        check
            Precondition, called with what holds right before the place; raises when it does not hold. Called
            again after each lost race.
        **fields
            The other fields of `Draft`.

        Raises
        ------
        LedgerConflictError
            `expect` does not hold; says who came first, with what and when. Or every attempt lost.
        LedgerError
            A field is not allowed, the transition is impossible, or the chain is broken. Nothing was written.
        """
        fields.setdefault("effective_at", self._clock())
        draft = Draft(kind=kind, **fields)

        def plan(state: State) -> Draft:
            if check is not None:
                check(state)
            return draft

        if expect is None:
            return self.transact(plan)
        known = self.entries()
        if len(known) < expect:
            raise LedgerError(
                f"The decision was made on entry {expect}, but the ledger ends with {len(known)}.",
                where=self.folder,
                fix="Check that this is the right store, and verify the chain against its mirror.",
            )
        made = self._attempt(known, plan(fold(known))) if len(known) == expect else None
        if made is None:
            raise self._conflict(expect + 1, draft)
        return made

    @overload
    def transact(self, plan: Callable[[State], Draft]) -> Entry: ...

    @overload
    def transact(self, plan: Callable[[State], Draft | None]) -> Entry | None: ...

    def transact(self, plan: Callable[[State], Draft | None]) -> Entry | None:
        """Decide on what holds, and add the decision right after what it was decided on.

        Parameters
        ----------
        plan
            Called with what holds; gives the decision, or None when nothing is to be done. May raise. Called
            again after each lost race, so it must not change anything itself.

        Returns
        -------
        Entry or None
            The new entry; None when `plan` gave None.

        Raises
        ------
        LedgerConflictError
            All `ATTEMPTS` places went to others.
        LedgerError
            The transition is impossible, or the chain is broken. Nothing was written.
        """
        for attempt in range(ATTEMPTS):
            known = self.entries()
            draft = plan(fold(known))
            if draft is None:
                return None
            entry = self._attempt(known, draft)
            if entry is not None:
                return entry
            # Chance in the whole pause: losers that wait equally long meet again.
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempt, 10))))
        raise LedgerConflictError(
            f"The decision lost {ATTEMPTS} races in a row and was not recorded. {self._first(len(known) + 1)}.",
            where=self.folder,
            fix="Run it again when fewer others are deciding.",
        )

    def claim(self, name: str, holder: str, **fields: Unpack[Fields]) -> bool:
        """Claim `name` (an attempt at an episode of drift, say) for `holder` (a run id), once and for all.

        Parameters
        ----------
        **fields
            ``actor``, ``role``, ``reason`` and whatever else of `Draft`; `effective_at` is the clock's now.

        Returns
        -------
        bool
            True when `holder` has the claim, by this call or an earlier one; False when somebody else has it.
        """
        fields.setdefault("effective_at", self._clock())
        fields["details"] = {**fields.get("details", {}), "name": name, "holder": holder}
        draft = Draft(kind="claim", **fields)
        self.transact(lambda state: None if name in state.claims else draft)
        number = self.state().claims[name]
        return bool(self.entries()[number - 1].details.get("holder") == holder)

    def verify(self, *mirrored: tuple[int, str] | None) -> list[Finding]:
        """Read the whole chain anew and list everything that is wrong with it. Empty when it is whole.

        Finds every edit, removal and exchange of an entry. A removed tail, and a rewritten chain whose hashes
        agree, are found as far as a mirror elsewhere knows the chain.

        Parameters
        ----------
        *mirrored
            Number and hash of entries that the mirror knows, its head at least. The ledger may be ahead of it. A
            None, for a mirror that knows nothing, is passed over.
        """
        numbers, strays = self._listed()
        findings = [
            Finding("No entry has such a name.", where=name, fix="Move the file elsewhere.")
            for name in strays
        ]
        places = range(1, _last_place(numbers) + 1)
        chain: list[Entry] = []
        before: Entry | None = None
        for number, data in zip(places, self._read(places), strict=True):
            try:
                entry = self._checked(number, data, before, link=number == 1 or before is not None)
                chain.append(entry)
                before = entry
            except LedgerError as error:
                findings.append(Finding(error.what, where=error.where, fix=error.fix))
                before = None
        if max(numbers, default=0) > len(places):
            what = f"Entries after {len(places)} up to {max(numbers)} lie beyond a gap and were not read."
            findings.append(Finding(what, where=self.folder, fix=_RESTORE))
        if len(chain) == len(places):
            try:
                fold(chain)
            except LedgerError as error:
                findings.append(Finding(error.what, where=error.where, fix=error.fix))
        known = sorted(pair for pair in set(mirrored) if pair is not None)
        return findings + [
            Finding(what, where=self.folder, fix=_RESTORE) for what in _against(known, chain, len(places))
        ]

    def _attempt(self, known: tuple[Entry, ...], draft: Draft) -> Entry | None:
        """Create the entry after `known`. None when somebody else's stands there."""
        entry = Entry.seal(
            draft,
            after=known[-1] if known else None,
            chain=(self.pipeline, self.segment, self.deployment),
            nonce=secrets.token_hex(8),
            recorded_at=self._clock(),
        )
        fold((*known, entry))
        if not self.backend.create(self._path(entry.number), entry.to_bytes()):
            data = self._read_one(entry.number)
            if data is None:
                return None
            if self._checked(entry.number, data, known[-1] if known else None).nonce != entry.nonce:
                return None
        self._verified = (*known, entry)
        return entry

    def _checked(self, number: int, data: bytes | None, before: Entry | None, *, link: bool = True) -> Entry:
        """The entry at place `number` from its bytes. Without `link`, what came before is not known."""
        if data is None:
            raise self._missing(number)
        try:
            entry = Entry.from_bytes(data)
        except LedgerError as error:
            raise LedgerError(error.what, where=self._where(number), fix=error.fix or _RESTORE) from None
        chain = (self.pipeline, self.segment, self.deployment)
        if entry.number != number:
            what = f"Entry {entry.number} lies at place {number}: entries were moved."
        elif (entry.pipeline, entry.segment, entry.deployment) != chain:
            what = f"The entry is of {entry.pipeline}/{entry.segment or _NO_SEGMENT}/{entry.deployment}."
        elif link and entry.previous != (before.hash if before else ""):
            what = f"The entry does not follow entry {number - 1}: its previous hash is another."
        else:
            return entry
        raise LedgerError(what, where=self._where(number), fix=_RESTORE)

    def _listed(self) -> tuple[set[int], list[str]]:
        """Numbers of the entries in the folder, and the paths of files that are none."""
        numbers: set[int] = set()
        strays: list[str] = []
        for path, _ in self.backend.list(self.folder):
            match = _FILE.fullmatch(path.removeprefix(f"{self.folder}/"))
            if match and int(match[1]):
                numbers.add(int(match[1]))
            else:
                strays.append(path)
        return numbers, strays

    def _read(self, numbers: range) -> Iterator[bytes | None]:
        """Bytes at each place, None where nothing lies. Many are read at once, but not far ahead."""
        if len(numbers) <= _READERS:
            yield from map(self._read_one, numbers)
            return
        with ThreadPoolExecutor(_READERS) as readers:
            for first in range(0, len(numbers), _AHEAD):
                yield from readers.map(self._read_one, numbers[first : first + _AHEAD])

    def _read_one(self, number: int) -> bytes | None:
        try:
            return self.backend.read(self._path(number))
        except NotFoundError:
            return None

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number:08d}.json"

    def _where(self, number: int) -> str:
        return f"ledger {self.folder.removeprefix('ledger/')}, entry {number}"

    def _missing(self, number: int) -> LedgerError:
        return LedgerError(f"Entry {number} is missing.", where=self._where(number), fix=_RESTORE)

    def _conflict(self, number: int, draft: Draft) -> LedgerConflictError:
        return LedgerConflictError(
            f"{self._first(number)}. So '{draft.kind}' by {draft.actor} was not recorded.",
            where=self._where(number),
            fix="Read the ledger again and decide on what holds now.",
        )

    def _first(self, number: int) -> str:
        """Who won a place, as a sentence without its full stop."""
        winner = next((entry for entry in self.entries() if entry.number == number), None)
        who = f": {winner.describe()}, because: {winner.reason}" if winner else ""
        return f"Entry {number} came first{who}"


def _against(mirrored: Sequence[tuple[int, str]], chain: Sequence[Entry], length: int) -> Iterator[str]:
    """How a chain that ends with entry `length` differs from what the mirror knows, by number ascending."""
    if mirrored and mirrored[-1][0] > length:
        yield f"The tail was removed: entry {length} is the last, but the mirror knows entry {mirrored[-1][0]}."
    hashes = {entry.number: entry.hash for entry in chain}
    odd = next((number for number, digest in mirrored if hashes.get(number, digest) != digest), None)
    if odd is not None:
        yield f"Entry {odd} is not the one that the mirror knows: the chain was rewritten."


def _last_place(numbers: set[int]) -> int:
    """Last place worth reading: the highest number, unless more are missing below than a race explains."""
    return min(max(numbers, default=0), len(numbers) + _LONGEST_GAP)
