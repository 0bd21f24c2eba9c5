"""A store in memory that keeps the contract of a backend, and short ways to make chains."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

from mlpipe.errors import NotFoundError
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.entry import Draft, Entry
from mlpipe.ledger.promotion import Candidate

START = datetime(2024, 1, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    """Midnight of day `number` of 2024, from 0."""
    return START + timedelta(days=number)


class MemoryBackend:
    """Files in a dict, which a test may damage."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return "memory://"

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise NotFoundError(f"Nothing lies at {path!r}.")
        return self.files[path]

    def create(self, path: str, data: bytes) -> bool:
        return self.files.setdefault(path, data) is data

    def exists(self, path: str) -> bool:
        return path in self.files

    def size(self, path: str) -> int:
        return len(self.read(path))

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        below = f"{prefix}/" if prefix else ""
        return iter(sorted((p, len(d)) for p, d in self.files.items() if p.startswith(below)))

    def paths(self, prefix: str = "") -> Iterator[str]:
        return (path for path, _ in self.list(prefix))

    def temporary(self) -> int:
        return 0


def ticking() -> Ledger:
    """An empty ledger in memory, whose clock starts with 2025 and goes one minute a look."""
    minutes = count()
    start = datetime(2025, 1, 1, tzinfo=UTC)
    return Ledger(MemoryBackend(), "churn", clock=lambda: start + timedelta(minutes=next(minutes)))


def candidate(
    name: str, ends: float, *, trigger: str = "schedule", role: str = "schedule", gates: bool = True
) -> Candidate:
    """The bundle `name`, trained on data up to day `ends`."""
    sentence = "" if gates else "f1 is 0.41, below 0.6."
    return Candidate(name, f"eval-{name}", day(ends), trigger, role, gates, sentence)


def hand_written(*drafts: Draft) -> tuple[Entry, ...]:
    """A chain of `drafts`; entry n was recorded on day n of 2025, from 1."""
    entries: list[Entry] = []
    for number, draft in enumerate(drafts, start=1):
        recorded = datetime(2024, 12, 31, tzinfo=UTC) + timedelta(days=number)
        after = entries[-1] if entries else None
        entries.append(
            Entry.seal(
                draft, after=after, chain=("churn", None, "dev"), nonce=f"n{number}", recorded_at=recorded
            )
        )
    return tuple(entries)


def register(version: int, at: float, *, ends: float | None = None) -> Draft:
    """Version n is bundle ``bn``, registered on day `at` with data up to `ends` (default: the same day)."""
    return Draft(
        kind="register",
        actor="nightly",
        role="schedule",
        reason="New data.",
        effective_at=day(at),
        version=version,
        bundle=f"b{version}",
        evaluation=f"e{version}",
        to_stage="candidate",
        trigger="schedule",
        details={"data_end": day(at if ends is None else ends).isoformat()},
    )


def move(kind: str, before: int | None, after: int, at: float, *, stage: str = "candidate") -> Draft:
    """Version `after`, which is in `stage`, takes over from `before` on day `at`."""
    return Draft(
        kind=kind,
        actor="ana",
        role="human",
        reason=f"{kind} {after}",
        effective_at=day(at),
        version=after,
        bundle=f"b{after}",
        evaluation=f"e{after}",
        from_stage=stage,
        to_stage="production",
        from_version=before,
        to_version=after,
    )


def acknowledged(at: float) -> Draft:
    """A person acknowledges the rollback on day `at`."""
    return Draft(kind="acknowledge", actor="ana", role="human", reason="Understood.", effective_at=day(at))
