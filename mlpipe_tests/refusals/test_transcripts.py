"""The page on errors shows what is printed, and names every exit code."""

import re
from pathlib import Path

from mlpipe.cli import EXIT_CODES, EXITS, parser
from mlpipe_tests.refusals.project import Project
from mlpipe_tests.refusals.transcripts import CASES, PAGE, document


def test_the_page_shows_what_is_printed(trained: Project, tmp_path: Path) -> None:
    """When a sentence became better, write the page anew: python -m mlpipe_tests.refusals.transcripts."""
    page = PAGE.read_text(encoding="utf-8")
    made = document(trained, tmp_path)
    assert made.splitlines() == page.splitlines()
    assert (
        len(CASES) == 10
        and page.count("$ mlpipe ") == 15
        and "Traceback" not in page
        and "--debug at the end" not in page
    )
    codes = set(map(int, re.findall(r"^\$ echo \$\?\n(\d+)$", page, flags=re.M)))
    assert codes == {0, 1, 3, 4, 5, 6, 8}


def test_help_and_page_name_every_exit_code() -> None:
    help_text = " ".join(parser().format_help().split())
    assert {code for _, code, _ in EXIT_CODES} | {0, 2, 9, 130} == {code for code, _ in EXITS}
    for code, text in EXITS:
        assert f"| {code} | {text} |" in PAGE.read_text(encoding="utf-8")
        assert f"{code} {text}" in help_text
