"""Formats of times: which can be read, and what is wrong with the others."""

import pytest

from mlpipe.core.form import cased, format_error


@pytest.mark.parametrize(
    "form",
    ["%d.%m.%Y", "%d/%m/%y %H:%M", "%Y%m%d", "%b %d, %Y", "%Y-%m-%dT%H:%M:%S.%f%z", "%G-W%V-%u", "%Y%%"],
)
def test_formats_that_name_a_day(form: str) -> None:
    assert format_error(form) == ""


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("epoch", "neither a known format nor one of strptime"),
        ("", "neither a known format nor one of strptime"),
        ("%d.%m.", "has no year"),
        ("%Y-%Q", "unknown directive '%Q'"),
        ("%Y-%", "unknown directive '%'"),
        ("%c %Y", "unknown directive '%c'"),
        ("%Y-%d-%d", "is no format"),
        ("%G-%m", "is no format"),
    ],
)
def test_what_is_no_format_is_said(form: str, said: str) -> None:
    assert said in format_error(form)


def test_case() -> None:
    assert [cased("Ab", c) for c in ("", "lower", "upper")] == ["Ab", "ab", "AB"]
