"""What is asked of the partitions beside those that failed."""

from typing import Any

from mlpipe.errors import DataError, Finding, SourceError
from mlpipe.orchestration.around import request_without, run_around, together
from mlpipe.orchestration.runs import Request
from mlpipe_tests.orchestration.conftest import World
from mlpipe_tests.orchestration.shop import shop
from mlpipe_tests.stages.pipelines import days

KEYS = days(6)
SPEC = shop().spec


def ranges(job: str, *failed: int) -> list[tuple[str, str]]:
    made = request_without(SPEC, Request(job, KEYS[0], KEYS[5]), {KEYS[n] for n in failed})
    return [(r.first, r.last) for r in made]


def test_a_range_is_cut_around_what_failed() -> None:
    assert ranges("ingest") == [(KEYS[0], KEYS[5])]
    assert ranges("ingest", 2) == [(KEYS[0], KEYS[1]), (KEYS[3], KEYS[5])]
    assert ranges("daily", 0, 5) == [(KEYS[1], KEYS[4])]
    assert ranges("ingest", *range(6)) == []
    # A training learns for a partition from those before it.
    assert ranges("training", 2) == [(KEYS[0], KEYS[5])]


def test_the_rest_of_a_run_is_done_for_the_others(small: World) -> None:
    """A day whose function raises: features of the others, and labels of all but that one."""

    def features(frames: Any, history: Any) -> Any:
        rows = frames["rows"]
        if rows["at"].iloc[0].day == 3:
            raise ValueError("a bad day")
        return rows[["size"]]

    made = shop(store=str(small.store.url), features=features)
    told: list[tuple[str, ...]] = []
    request = Request("ingest", KEYS[0], KEYS[4])
    errors = run_around(
        made.spec,
        made.definitions(),
        small.on,
        request,
        lambda r, run: told.append((r.first, r.last, *r.assets)),
    )
    (error,) = errors
    assert error.partitions == (KEYS[2],) and error.step == "features"
    assert told == [
        (KEYS[0], KEYS[4]),
        (KEYS[0], KEYS[1], "labels"),
        (KEYS[0], KEYS[1], "labels"),
        (KEYS[3], KEYS[4], "labels"),
        (KEYS[3], KEYS[4], "labels"),
    ]
    again = run_around(made.spec, made.definitions(), small.on, request, without=error.partitions)
    assert again == []


def test_one_error_for_several_steps() -> None:
    one, other = SourceError("gone", findings=[Finding("a"), Finding("b")]), DataError("bad", where="here")
    one.partitions, other.partitions = (KEYS[0], KEYS[1]), (KEYS[1], KEYS[2])
    made = together([one, other])
    assert isinstance(made, SourceError) and made.partitions == KEYS[:3]
    assert made.what == "3 partitions failed" and [str(f) for f in made.findings] == ["a", "b", "here: bad."]
    assert together([one]) is one
