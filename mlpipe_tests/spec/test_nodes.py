"""Durations and the other small values that all parts share."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.spec.nodes import LONGEST, choices, duration_text, parse_duration, shown


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("1d 12h", timedelta(hours=36)),
        ("2w", timedelta(days=14)),
        ("1.5h", timedelta(minutes=90)),
        ("0.25s", timedelta(milliseconds=250)),
        (" 5m ", timedelta(minutes=5)),
    ],
)
def test_durations_are_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "value", ["", "5", 5, "d", "-1d", "1d12h", "1 d", "1y", "1e3d", "٣d", None, True, ["1d"]]
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"is no duration; write a number and a unit"):
        parse_duration(value)


def test_a_duration_is_at_most_a_century_and_never_negative() -> None:
    assert parse_duration("36525d") == LONGEST
    for value in ("36526d", "999999999999w", timedelta.max):
        with pytest.raises(ValueError, match="longer than a century"):
            parse_duration(value)
    with pytest.raises(ValueError, match="negative"):
        parse_duration(timedelta(seconds=-1))


def test_the_shortest_text_of_a_duration() -> None:
    assert duration_text(timedelta(0)) == "0s"
    assert duration_text(timedelta(days=14, hours=12, seconds=1)) == "14d 12h 1s"
    assert duration_text(timedelta(minutes=1, milliseconds=500)) == "1m 0.5s"


@given(st.timedeltas(timedelta(0), LONGEST))
def test_the_text_of_a_duration_is_read_back(length: timedelta) -> None:
    assert parse_duration(duration_text(length)) == length


def test_choices_lead_with_close_names() -> None:
    assert choices("tst", ["test", "valid"]) == "Did you mean 'test'? Valid: test, valid."
    assert choices("x", ["test", "valid"]) == "Valid: test, valid."
    assert choices("x", []) == ""
    assert choices("n7", [f"n{i}" for i in range(41)]).startswith("Did you mean 'n7' or ")
    assert "Valid" in choices("n7", [f"n{i}" for i in range(60)])
    assert "Valid" not in choices("n7", [f"n{i}" for i in range(61)])


def test_values_are_shown_in_at_most_eighty_characters() -> None:
    assert shown("x") == "'x'"
    assert len(shown("x" * 1000)) == 78 and shown("x" * 1000).endswith("…")
    assert shown(10**5000) == "a very large int"
