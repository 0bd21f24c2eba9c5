"""Prometheus' text format: by hand, by Prometheus' own parser, and for any text."""

import math
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.notify.exposition import Family, Sample, exposed


def gauge(*samples: Sample, name: str = "m", text: str = "Help.") -> Family:
    return Family(name, text, samples)


def test_a_family_is_help_type_and_a_line_a_sample() -> None:
    families = [
        gauge(Sample(0.25, {"a": "x", "b": 'q"\\\n'}), Sample(3.0, {"a": "y"}), text="One\nline \\."),
        gauge(Sample(1e300, {}), name="n"),
        gauge(name="nothing"),
    ]
    assert exposed(families) == (
        "# HELP m One\\nline \\\\.\n# TYPE m gauge\n"
        'm{a="x",b="q\\"\\\\\\n"} 0.25\nm{a="y"} 3\n'
        "# HELP n Help.\n# TYPE n gauge\nn 1e+300\n"
    )
    assert exposed([]) == ""


def test_families_of_one_name_are_one_and_no_sample_stands_twice() -> None:
    twice = [gauge(Sample(1, {"a": "x"})), gauge(Sample(2, {"a": "x"}), Sample(3, {"a": "y"}))]
    assert exposed(twice).splitlines()[2:] == ['m{a="x"} 2', 'm{a="y"} 3']


def test_numbers_that_are_none_are_spelled() -> None:
    shown = exposed(
        [gauge(*(Sample(v, {"a": str(v)}) for v in (math.nan, math.inf, -math.inf, -0.5, 2.0**60)))]
    )
    assert [line.split()[-1] for line in shown.splitlines()[2:]] == [
        "NaN",
        "+Inf",
        "-Inf",
        "-0.5",
        "1.152921504606847e+18",
    ]


@pytest.mark.parametrize(
    ("name", "label"), [("1m", "a"), ("m", "1a"), ("m", "__a"), ("", "a"), ("mé", "a"), ("m", "a-b")]
)
def test_a_name_that_prometheus_does_not_take_is_refused(name: str, label: str) -> None:
    with pytest.raises(ValueError, match="takes no such name"):
        Family(name, "Help.", (Sample(1, {label: "x"}),))


@given(st.lists(st.tuples(st.text(), st.floats(width=32)), max_size=5), st.text())
def test_whatever_a_column_is_called_lines_stay_lines(given_: list[tuple[str, float]], text: str) -> None:
    shown = exposed([gauge(*(Sample(v, {"column": c}) for c, v in given_), text=text)])
    distinct = len({c for c, _ in given_})
    assert len(shown.split("\n")) == (distinct + 3 if given_ else 1)
    shown.encode()


def test_prometheus_reads_it() -> None:
    if shutil.which("promtool") is None:
        pytest.skip(
            "NO PROMTOOL: the text format is not checked by Prometheus itself; apt install prometheus"
        )
    odd = ['"', "\\", "\n", "\r", "\u2028", "{}", ",", "=", "é", "😀", "\ud800", "\x00", " ", ""]
    text = exposed(
        [gauge(*(Sample(n, {"column": c}) for n, c in enumerate(odd)), name="mlpipe_psi", text='A\\ "\n')]
    )
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0 and not checked.stderr, checked.stderr.decode()
