"""docs/compare.md says what the command says."""

import re
from pathlib import Path

from mlpipe.index.shelf import open_shelf
from mlpipe.views.compared import as_text
from mlpipe.views.subjects import compared
from mlpipe_tests.views.story import story

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compare.md"


def test_the_page_shows_what_the_command_tells() -> None:
    page = PAGE.read_text()
    shown = re.search(r"<!-- told -->\n```text\n(.*?)\n```\n<!-- /told -->", page, re.DOTALL)
    assert shown is not None
    with open_shelf(story().store) as shelf:
        text = as_text(compared(shelf, ["churn@1", "churn@production"]))
    assert shown[1] in text
    assert "The same: code, environment." in text


def test_the_commands_of_the_page_exist() -> None:
    from mlpipe.cli import parser

    commands = re.findall(r"^    mlpipe (.*?)(?:  +#.*)?$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) >= 3
    import shlex

    for text in commands:
        assert parser().parse_args(shlex.split(text)).call
