"""The error behind an error."""

import pytest

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.orchestration.causes import cause, chain, first_line, place


def wrapped() -> Exception:
    try:
        try:
            raise NotFoundError("no day", fix="Make it.")
        except MlpipeError as error:
            raise RuntimeError("a step failed\nwith much text") from error
    except RuntimeError as outer:
        return outer


def test_mlpipes_own_error_is_found_behind_others() -> None:
    found = cause(wrapped())
    assert isinstance(found, NotFoundError) and str(found) == "no day\nMake it."
    assert cause(ValueError("x")) is None and cause(NotFoundError("y")) is not None


def test_the_line_is_that_of_the_innermost_and_the_place_is_in_its_authors_code() -> None:
    assert first_line(ValueError("one\ntwo")) == "ValueError: one" and first_line(KeyError()) == "KeyError"
    with pytest.raises(TypeError) as caught:
        sorted([1, "a"])
    assert place(caught.value).startswith(f"{__file__}:")
    assert place(ValueError("never raised")) == ""


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert list(chain(first)) == [first, second]
