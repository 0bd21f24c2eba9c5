"""The transcripts in docs/errors.md are what is printed."""

from mlpipe_tests.examples.errors import MISTAKES, PAGE, page


def test_the_page_of_errors_is_what_is_printed() -> None:
    parts = list(page())
    assert len(MISTAKES) >= 10 and not any("Traceback" in part for part in parts)
    assert "\n".join(parts) == PAGE.read_text(), "write it anew: python -m mlpipe_tests.examples.errors"
