"""Partitions that fail: where each is said to be, and what one error makes of several."""

import pickle

import pytest

from mlpipe.errors import (
    BundleError,
    DataError,
    Finding,
    MlpipeError,
    SourceError,
    StoreError,
    TransientError,
    UserCodeError,
)
from mlpipe.stages.deadline import TooSlowError
from mlpipe.stages.failures import MENDED, Failures, attempted, finding, placed, stops


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("", "pipeline shop, partition 2024-01-02, features"),
        ("column 'size'", "pipeline shop, partition 2024-01-02, features, column 'size'"),
        ("pipeline shop, label", "pipeline shop, partition 2024-01-02, label"),
        ("pipeline shop, label, partition 2024-01-02", "pipeline shop, label, partition 2024-01-02"),
        ("pipeline shop", "pipeline shop, partition 2024-01-02"),
    ],
)
def test_an_error_says_where_it_is(where: str, told: str) -> None:
    error = DataError("it is bad", where=where)
    assert placed(error, "shop", "features", "2024-01-02").where == told
    # Once said, it is not said again.
    assert placed(error, "shop", "features", "2024-01-02").where == told


def test_without_partitions_and_beside_a_partition_the_asset_tells() -> None:
    assert placed(BundleError("damaged"), "shop", "predictions").where == "pipeline shop, predictions"
    assert placed(StoreError("full", where="/srv/store"), "shop", "raw", "2024-01-02").where == "/srv/store"


def test_what_meets_every_partition_stops_the_step() -> None:
    assert stops(StoreError("full")) and not stops(BundleError("damaged")) and not stops(DataError("bad"))

    def full() -> None:
        raise StoreError("full")

    def bad() -> None:
        raise DataError("bad")

    with pytest.raises(StoreError):
        attempted(full)
    assert isinstance(attempted(bad), DataError) and attempted(lambda: 3) == 3


def failed(*errors: MlpipeError, total: int = 4, tried: bool = True) -> MlpipeError:
    made = Failures("shop", "raw", total)
    for n, error in enumerate(errors, 1):
        made.add(f"2024-01-0{n}", error, tried=tried)
    with pytest.raises(MlpipeError) as raised:
        made.raised()
    return raised.value


def test_no_failure_is_no_error_and_one_is_raised_as_it_is() -> None:
    Failures("shop", "raw", 3).raised()
    one = SourceError("there is no file", fix="Put it there.")
    assert failed(one) is one
    assert one.what == "there is no file" and one.partitions == ("2024-01-01",) and one.step == "raw"
    # Where nothing else was done, nothing goes on without it.
    assert failed(SourceError("there is no file"), total=1).partitions == ()


def test_several_are_told_in_one_and_what_may_pass_decides_the_kind() -> None:
    error = failed(SourceError("gone", fix="Put it there."), TransientError("busy."), DataError("bad"))
    assert isinstance(error, TransientError)
    assert error.partitions == ("2024-01-01", "2024-01-02", "2024-01-03")
    lines = str(error).splitlines()
    assert lines[0] == "pipeline shop, raw: 3 of 4 partitions failed" and lines[-1] == MENDED
    assert lines[1] == "  - pipeline shop, partition 2024-01-01, raw: gone. Put it there."
    assert lines[2] == "  - pipeline shop, partition 2024-01-02, raw: busy."
    again = pickle.loads(pickle.dumps(error))
    assert again.partitions == error.partitions and again.step == "raw" and str(again) == str(error)


def test_a_step_gives_up_when_all_fail_in_a_row() -> None:
    made = Failures("shop", "features", 40)
    for n in range(9):
        assert made.add(str(n), UserCodeError("bad"), tried=True)
    made.went_on()
    for n in range(9, 18):
        assert made.add(str(n), UserCodeError("bad"), tried=True)
    # What is known beforehand costs nothing, and does not count.
    assert all(made.add(str(n), SourceError("gone"), tried=False) for n in range(18, 38))
    assert not made.add("38", UserCodeError("bad"), tried=True)
    with pytest.raises(UserCodeError, match="39 of 40 partitions failed; the step gave up") as raised:
        made.raised()
    assert raised.value.partitions == ()


def test_two_time_limits_in_a_row_are_enough() -> None:
    made = Failures("shop", "features", 40)
    assert made.add("1", TooSlowError("slow"), tried=True) and not made.add(
        "2", TooSlowError("slow"), tried=True
    )


def test_an_error_with_findings_becomes_one_line() -> None:
    error = DataError(
        "it cannot be stored.", findings=[Finding("bad", "column a", "Drop it."), Finding("worse")]
    )
    assert str(finding(error)) == "it cannot be stored: column a: bad Drop it, and 1 more."
