"""Plain text tables."""

from mlpipe.views.table import WIDEST, printable, table


def test_columns_are_as_wide_as_their_text_and_nothing_trails() -> None:
    assert table(["a", "long head"], [["x", "y"], ["wide text", ""]]).split("\n") == [
        "a          long head",
        "─────────  ─────────",
        "x          y",
        "wide text",
    ]


def test_long_text_is_wrapped_within_its_column() -> None:
    lines = table(["n", "text"], [["1", "word " * 40]]).split("\n")
    assert all(len(line) <= WIDEST + 3 for line in lines) and len(lines) > 3
    assert lines[3].startswith("   word")


def test_what_a_stranger_wrote_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"
    assert "\x1b" not in table(["a"], [["\x1b]0;title\x07"]])
