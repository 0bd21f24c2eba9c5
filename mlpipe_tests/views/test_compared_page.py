"""The page of a comparison: self-contained, escaped, differences first; curves and parallel coordinates by hand."""

import math
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from mlpipe.errors import NotFoundError
from mlpipe.index.shelf import open_shelf
from mlpipe.records.record import MetricValue, Output
from mlpipe.stores.store import Store
from mlpipe.views.compared_page import as_html, curves_html
from mlpipe.views.comparison import compare
from mlpipe.views.curves import Series, as_text, series_of, svg, to_dicts
from mlpipe.views.page import Cell, table
from mlpipe.views.parallel import Axis, parallel
from mlpipe.views.subjects import compared
from mlpipe_tests.views.story import story
from mlpipe_tests.views.test_comparison import record, subject

HOSTILE = "<script>alert('x')</script>\x1b[2J\" onload=\"alert(1)"
VOID = {"meta", "input", "link", "br"}


class Checked(HTMLParser):
    """Reads a page as a browser does, and keeps what matters: open elements, scripts, attributes that run or fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.odd: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.odd += [
            f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name in ("src", "href", "action")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_of_the_story_needs_nothing_and_says_what_stands_out_first() -> None:
    with open_shelf(story().store) as shelf:
        text = as_html(compared(shelf, ["churn@1", "churn@production"]))
    page = Checked(text)
    assert not page.odd and page.tags.count("script") == 1 and "default-src 'none'" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    words = "".join(page.words)
    assert (
        words.index("sends a new column 'promo'")
        < words.index("Parallel coordinates")
        < words.index("What came out")
    )
    assert page.tags.count("table") >= 6 and 'class="same"' in text


def test_what_a_stranger_wrote_is_text() -> None:
    metric = MetricValue(name=HOSTILE, value=1.0, split="test")
    one = subject(
        HOSTILE,
        params={HOSTILE: HOSTILE, "x": 1},
        metrics=(metric,),
        tags={HOSTILE: HOSTILE},
        verdict=HOSTILE,
    )
    other = subject("b", params={"x": 2}, files={HOSTILE: HOSTILE})
    lines = [Series(HOSTILE, HOSTILE, HOSTILE, (0.0, 1.0), (1.0, 2.0), HOSTILE)]
    for text in (as_html(compare([one, other]), lines, every=True), curves_html([HOSTILE], lines)):
        page = Checked(text)
        assert page.tags.count("script") == 1 and not page.odd and "\x1b" not in text
        assert "alert('x')" in "".join(page.words)


def test_numbers_are_sorted_as_numbers() -> None:
    text = table(["a"], [[Cell("1,000", 1000.0)], [Cell("nan", math.nan)], [Cell("–")]], sortable=True)
    assert 'data-value="1000.0"' in text and text.count("data-value") == 1


def test_parallel_coordinates_have_a_point_for_each_value() -> None:
    text = parallel(["a", "b"], [Axis("x", (1.0, 2.0)), Axis("y", (None, 4.0)), Axis("z", (5.0, 5.0))])
    root = ElementTree.fromstring(text)
    tags = [e.tag.rpartition("}")[2] for e in root.iter()]
    assert tags.count("circle") == 5
    # The line of a is broken at y, and has no stretch of two points.
    assert tags.count("polyline") == 1
    assert (
        parallel(["a"], [Axis("x", (1.0,))]) == ""
        and parallel(["a", "b"], [Axis("x", (None, None)), Axis("y", (1.0, 2.0))]) == ""
    )


@pytest.mark.parametrize(
    "values",
    [
        (),
        (1.0,),
        (1.0, 1.0),
        (math.nan, math.inf),
        (1.0, math.nan, -1.0),
        (1e308, -1e308),
        tuple(range(1000)),
    ],
)
def test_every_curve_can_be_drawn(values: tuple[float, ...]) -> None:
    line = Series(
        "a", "loss", "value", tuple(float(i) for i in range(len(values))), tuple(map(float, values))
    )
    ElementTree.fromstring(svg(line.title, [line]))
    assert as_text([line]).startswith("loss\n")
    Checked(curves_html(["a"], [line]))


def test_a_plot_rises_where_its_values_do() -> None:
    rows = as_text([Series("a", "f1", "value", (0.0, 1.0, 2.0), (0.0, 0.5, 1.0))]).splitlines()
    drawn = [r.partition("│")[2] for r in rows if "│" in r]
    assert drawn[0].rstrip().endswith("●") and drawn[0].index("●") == 71 and drawn[-1].index("●") == 0
    assert rows[-1] == "  ● a: 0 to 1 in 3 steps"


def test_lines_of_several_records_come_together(tmp_path: Any) -> None:
    store = Store.open(tmp_path)
    made = [
        store.put_json([{"step": i, "train": 1.0 / (i + k), "valid": 2.0} for i in range(3)], "curve")
        for k in (1, 2)
    ]
    data = {"curves": {"loss": {"train": {"text": "still improving"}}}}
    records = [record(curves=(Output(name="loss", id=m.id),), data=data) for m in made]
    lines = [line for name, r in zip("ab", records, strict=True) for line in series_of(store, name, r)]
    told = {"loss: train": "still improving", "loss: valid": ""}
    assert [(s.owner, s.title, s.told) for s in lines] == [(o, t, w) for o in "ab" for t, w in told.items()]
    text = as_text(lines)
    assert (
        text.count("loss: train") == 1 and "● a: still improving" in text and "○ b: still improving" in text
    )
    assert to_dicts(lines)[0]["values"] == [1.0, 0.5, 1 / 3]
    with pytest.raises(NotFoundError, match="has no curves"):
        series_of(store, "c", record())
