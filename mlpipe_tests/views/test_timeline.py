"""A replay as a picture: well-formed, within its bounds, safe, and without labels that overlap."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings

from mlpipe.views.drawing import Labels, apart, fitted, seconds, span, ticks, time_ticks, wide
from mlpipe.views.replay import Replay
from mlpipe.views.timeline import _means, ratio, svg
from mlpipe_tests.views.pasts import START, attempt, day, dense, lived, past, replays

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
SVG = "{http://www.w3.org/2000/svg}"


def parsed(replay: Replay) -> ET.Element:
    return ET.fromstring(svg(replay))


def points(root: ET.Element) -> Iterator[tuple[float, float]]:
    """Every place that something is drawn at."""
    for e in root.iter():
        found = {k: float(v) for k, v in e.attrib.items() if k in ("x", "y", "x1", "y1", "x2", "y2")}
        if "x" in found:
            yield found["x"], found["y"]
            if e.tag == f"{SVG}rect":
                yield found["x"] + float(e.attrib["width"]), found["y"] + float(e.attrib["height"])
        if "x1" in found:
            yield found["x1"], found["y1"]
            yield found["x2"], found["y2"]
        yield from path(e.attrib.get("d", ""))


def path(text: str) -> Iterator[tuple[float, float]]:
    """End points of a path's absolute commands."""
    x = y = 0.0
    for command, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", text):
        values = [float(n) for n in NUMBER.findall(rest)]
        if command in "MLA":
            x, y = values[-2:]
        elif command == "H":
            x = values[0]
        elif command == "V":
            y = values[0]
        yield x, y


def boxes(root: ET.Element) -> list[tuple[float, float, float, float, str]]:
    """Where each text stands, estimated: left, top, right, bottom."""
    made = []
    for e in root.iter(f"{SVG}text"):
        size, x, y = float(e.attrib.get("font-size", 12)), float(e.attrib["x"]), float(e.attrib["y"])
        # Real letters are narrower than the estimate by which labels are placed.
        length = wide(e.text or "", size) * 0.95
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[e.attrib.get("text-anchor", "start")] * length
        made.append((left, y - 0.75 * size, left + length, y + 0.1 * size, e.text or ""))
    return made


def check(replay: Replay) -> ET.Element:
    text = svg(replay)
    assert "nan" not in re.sub(r"<title>.*?</title>|>[^<]*<", "", text) and svg(replay) == text
    root = ET.fromstring(text)
    for x, y in points(root):
        assert math.isfinite(x) and math.isfinite(y) and 0 <= x <= 1200 and 0 <= y <= 640, (x, y)
    for left, _, right, _, label in boxes(root):
        assert left >= 0 and right <= 1200, label
    return root


HALF_YEAR_OFF = [
    replace(d, moment=d.moment + timedelta(days=200 * (i > 3))) for i, d in enumerate(map(day, range(8)))
]
PASTS = {
    "lived": lived(),
    "nothing": past(),
    "one day": past([day(0)]),
    "no labels": past([day(n, None, None) for n in range(20)], [attempt(3)]),
    "all unknown": past(
        [day(n, None, None, version=None, worst=None, psi=None, threshold=None) for n in range(20)],
        [attempt(3, metric=None, rival=None, version=None)],
    ),
    "attempts alone": past([], [attempt(1), attempt(5, "promoted")]),
    "lower": past([day(n, 100 + n, 120) for n in range(30)], metric="rmse", better="lower"),
    "one moment": past([day(0), day(0)]),
    "a gap": past(HALF_YEAR_OFF),
    "version 999": past([day(n, version=997 + n // 10) for n in range(30)]),
    "long words": past(
        [day(0)],
        [attempt(0, reason="why " * 5000)],
        pipeline="p" * 300,
        policy="q " * 900,
        metric="m_" * 300,
        live=0.5,
    ),
    "wide words": past([day(0, worst="列" * 80, psi=9.0)], pipeline="航空" * 40),
    "no threshold": past([day(n, psi=0.5, threshold=0.0) for n in range(4)]),
    "huge": past([day(0, 1e308, -1e308, psi=1e308, threshold=1e-308), day(1, 1e99, -1e99)]),
    "tiny": past([day(0, 1e-300, 2e-300, psi=0.0), day(1, 5e-324, 0.0)]),
}


@pytest.mark.parametrize("name", PASTS)
def test_it_is_well_formed_finite_and_within_the_view(name: str) -> None:
    check(PASTS[name])


@pytest.mark.parametrize("name", [n for n in PASTS if n not in ("one moment",)] + ["dense"])
def test_no_labels_overlap(name: str) -> None:
    found = boxes(parsed(dense() if name == "dense" else PASTS[name]))
    for i, (a, b, c, d, one) in enumerate(found):
        for left, top, right, bottom, other in found[i + 1 :]:
            assert not (a < right and left < c and b < bottom and top < d), (one, other)


def test_two_years_of_days_and_of_hours() -> None:
    check(dense())
    hours = dense(hours=True)
    check(hours)
    assert len(svg(hours)) < 2_000_000


@settings(max_examples=40)
@given(replays())
def test_any_replay_can_be_drawn(replay: Replay) -> None:
    check(replay)


def test_what_a_stranger_wrote_stays_text() -> None:
    bad = "<script>alert('1')</script>&\"\x00\x1b\ud800\n]]>"
    replay = past(
        [day(0, worst=bad, psi=9.0, note=bad)],
        [attempt(0, "promoted", reason=bad, why=bad, cause=bad, injected=bad)],
        pipeline=bad,
        policy=bad,
        metric=bad,
    )
    root = check(replay)
    assert {e.tag for e in root.iter()} == {
        f"{SVG}{t}" for t in ("svg", "title", "rect", "text", "line", "path")
    }
    assert not any(k.startswith("on") or "href" in k for e in root.iter() for k in e.attrib)
    assert any("<script>" in (e.text or "") for e in root.iter(f"{SVG}title"))


def test_the_picture_says_the_finding_and_names_what_it_shows() -> None:
    root = parsed(lived())
    said = [e.text or "" for e in root.iter(f"{SVG}text")]
    assert said[0].startswith("3 of 13 challengers promoted; ROC AUC 0.727 live, 0.697 never retrained")
    for label in ("live champion", "never retrained", "flights@1", "flights@9", "alarm", "time in UTC", "1×"):
        assert label in said, label
    assert {
        "promoted 3",
        "refused 11",
        "failed 1",
        "rolled back 1",
        "put in on purpose",
        "failed days 3",
    } <= set(said)
    assert "shuffled-labels, put in on purpose" in said
    assert [s for s in said if s in ("Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct")] == [
        *("Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct")
    ]
    told = [e.text or "" for e in root.iter(f"{SVG}title")]
    assert any("worst drift: dep_delay, PSI" in t and "threshold 0.2000" in t for t in told)
    assert any("FAULT PUT IN ON PURPOSE (shuffled-labels)" in t for t in told)
    assert sum(t.startswith("2013-05-16: drift: PSI of wind_speed") for t in told) == 2


def test_without_labels_it_says_so() -> None:
    said = [e.text or "" for e in parsed(PASTS["no labels"]).iter(f"{SVG}text")]
    assert "No day has a metric: no labels, no champion, or one class only." in said
    said = [e.text or "" for e in parsed(PASTS["all unknown"]).iter(f"{SVG}text")]
    assert "No day was compared with what its champion learned from." in said


def test_the_wall_time_is_not_in_it() -> None:
    assert svg(lived()) == svg(replace(lived(), seconds=None))


def test_trailing_means_by_hand_are_broken_where_days_are_missing() -> None:
    daily: list[tuple[float, float | None]] = [(86400.0 * n, float(n)) for n in range(8)]
    (line,) = _means(daily, 86400.0)
    assert [v for _, v in line] == [1.5, 2.0, 2.5, 3.0, 4.0]  # of four, five, six, then seven days
    daily[4:8] = [(t, None) for t, _ in daily[4:8]]
    assert [[v for _, v in piece] for piece in _means(daily, 86400.0)] == [[1.5, 1.5, 1.5, 1.5]]
    weekly: list[tuple[float, float | None]] = [(7 * 86400.0 * n, float(n)) for n in range(3)]
    assert [v for _, v in _means(weekly, 7 * 86400.0)[0]] == [0.0, 1.0, 2.0]


def test_drift_is_the_ratio_and_nothing_without_a_threshold() -> None:
    assert ratio(day(0, psi=0.3, threshold=0.2)) == pytest.approx(1.5)
    assert ratio(day(0, psi=0.0, threshold=0.2)) == 1e-3
    for psi, threshold in ((None, 0.2), (0.3, None), (0.3, 0.0), (float("nan"), 0.2), (-1.0, 0.2)):
        assert ratio(day(0, psi=psi, threshold=threshold)) is None


def test_ticks_are_round_and_few() -> None:
    assert ticks(0.63, 0.79) == pytest.approx([0.65, 0.70, 0.75])
    assert ticks(-1.0, 1.0) == pytest.approx([-1.0, -0.5, 0.0, 0.5, 1.0])
    for length, first in ((86400.0, "00:00"), (9 * 86400.0, "1 Apr"), (200 * 86400.0, "Apr"), (9e8, "2015")):
        made = time_ticks(seconds(START), seconds(START) + length)
        assert made[0].text == first and 2 <= len(made) <= 15, made
    weeks = time_ticks(seconds(START), seconds(START) + 60 * 86400.0)
    assert {datetime.fromtimestamp(t.when, UTC).weekday() for t in weeks} == {0}


def test_labels_give_way_and_words_are_cut() -> None:
    places = Labels()
    assert places.take(0, 0, 10, 10) and not places.take(5, 5, 10, 10) and places.take(20, 0, 10, 10)
    assert apart([5.0, 6.0, 100.0], 10, 0, 100) == [5.0, 15.0, 100.0]
    assert apart([99.0, 98.0], 10, 0, 100) == [100.0, 90.0]
    assert fitted("short", 10, 100) == "short" and fitted("much too long", 10, 40).endswith("…")
    assert span([]) == (0.0, 1.0) and span([0.7, 0.7])[0] < 0.7 < span([0.7, 0.7])[1]
