"""Texts that are nearly a `defs.yaml`: valid ones, broken in the ways in which people, editors and attackers break them."""

import copy
import datetime
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hypothesis import strategies as st

from mlpipe.spec.build import ALIASES
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe_tests.spec.declared import YAML

FUNCTIONS = """\
def make(frames, history): return frames
def late(rows): return rows
def rule(features): return features
"""
"""A file `feat.py` beside the YAML, which the skeletons may name."""
RICH = """\
name: late_flights
description: 'Which flights are late? "Most" are not.'
owners: [team:ops, someone@example.org]
tags: {area: flights}
partitions:
  every: week
  start: "2013-01-06"
  end: "2014-01-05"
  timezone: America/New_York
sources:
  flights:
    type: csv
    path: data/flights.csv
    options: {sep: ";", encoding: cp1252}
    event_time: dep
    timezone: America/New_York
    keys: [carrier, flight]
    columns: [carrier, flight, dep, dist, late, note]
    available_after: 1h
    timeout: 10m
    clean:
      dep: {to: time, formats: ["%d.%m.%Y %H:%M", iso], "null": ["?"]}
      dist: {to: number, decimal: ",", thousands: ".", "null": ["NA", -999]}
      late: {to: bool, truthy: [late], falsy: [in time]}
      note: {to: text, case: lower, map: {"n/a": unknown}}
    contract:
      columns:
        dist: {dtype: number, min: 0, max: 5000, nullable: 0.1, usual: [50, 3000]}
        note: {dtype: string, allowed: [a, b], pattern: "[a-z]+", unique: false}
      unique: [flight]
      min_rows: 1
      max_rows: 100000
      freshness: 2d
      floor: 0.9
      expectations:
        - {type: expect_column_to_exist, kwargs: {column: dist}}
  weather:
    type: jsonl
    path: data/weather.jsonl
    event_time: hour
    join: {on: [carrier], tolerance: 3h}
  planes:
    type: sql
    url: ${DATABASE_URL}
    query: "select * from planes where seen >= :start and seen < :end"
    event_time: seen
    join: {on: carrier}
label:
  column: late
  available_after: 1d
  horizon: 7d
  outcomes: [note]
  positive: true
prediction_time: dep
lead: 30m
features:
  columns: [dist, weather.temp]
  calendar: [dist]
  missing: {dist: mar}
model:
  class: sklearn.ensemble.HistGradientBoostingClassifier
  params: {max_iter: 20, learning_rate: 0.1, early_stopping: false}
  preprocess: auto
task: binary
window: 26
split: {valid: 2w, test: 4w}
min_coverage: 0.5
min_rows: 20
threshold: {precision_at_least: 0.3}
metrics: [pr_auc, roc_auc]
baseline: feat.py:rule
gates:
  - {kind: at_least, params: {metric: pr_auc, value: 0.1}}
  - beats_baseline: {metric: pr_auc, baseline: rule}
  - beats_champion: {metric: pr_auc, margin: 1%}
retrain: {every: month, drift: calibrated, drift_share: 0.3, cool_down: 14d, on_new_data: true}
monitor: {window: 8, watch: [dist], grid_window: 12}
alerts:
  - log
  - webhook: {url_env: SLACK_URL, on: [failed, drift], timeout: 3s, replays: false}
bootstrap: 200
blocks: carrier
seed: 7
min_tenure: 7d
automation: off
timeout: 2h
retries: {times: 2, delay: 1s}
overlays:
  prod: {window: 40, automation: on}
"""
SKELETONS = (
    YAML,
    RICH,
    YAML.replace("[hours, adds]", "feat.py:make").replace("{column: churned,", "{function: feat:late,"),
)

RAW = (
    "",
    "9" * 400,
    "9" * 5000,
    f"'{'x' * 3000}'",
    "'\U0001f642'",
    "'\u202e'",
    "'\ufeff'",
    *r"""
~
null
yes
NO
True
.nan
.inf
-.inf
1e400
-0
0x1F
0o17
1_000
12:30:45
-1
0.5
1.5e3
2024-01-01
2024-02-30
2024-01-01T25:00:00
0001-01-01
9999-12-31
30d
-3d
99999999999w
1d 1d
[]
{}
[[]]
{{x}}
'{{ env.HOME }}'
'{% raw %}'
{? [a] : b}
!!python/name:os.system
!!python/object/apply:os.system ['touch harmed']
!!binary aGVsbG8=
!!set {a}
!!float x
!!int '1'
!!timestamp 2024-01-01
!!omap [a: 1]
!mine 3
&a [*a]
*nobody
&b b
*b
<<
|
>-
? x
- - -
%YAML 9.9
---
...
@x
`x`
"\x00"
"\ud800"
"\uFFFF"
os:system
subprocess.py:run
../../etc/passwd:root
/etc/passwd:x
feat.py:make
feat:absent
absent.py:f
sklearn.svm.SVC
os.system
sklearn.externals.x
sklearn.pipeline.Pipeline
parquet
upstream
hour
none
f1
rmse
Mars/Olympus
'a\0b'
<b>x</b>
'; drop table x; --'
[1, two, 3.0, null]
{a: {b: {c: 1}}}
""".strip().splitlines(),
)
"""Values as they stand in a file."""
BLOCKS = (
    "x: &x [a, a]\ny: [*x, *x]\n",
    "name: again\n",
    "? complex\n: key\n",
    "<<: {a: 1}\n",
    "overlays: {dev: {window: 0}}\n",
    "source: {}\n",
    "sources: []\n",
    "features: {columns: []}\n",
    "\tname: x\n",
    "---\nname: other\n",
    "...\n",
    "# only words\n",
    "%TAG ! tag:x,2024:\n---\n",
    "outcomes: [hours]\n",
    "look_back: 3d\n",
    "owner: x\nowners: y\n",
    "where: here\n",
    "base_dir: /\n",
    "store: 's3://x/{{y}}'\n",
    "1: 2\n",
    "null: null\n",
    "'': ''\n",
)


def _is_key(value: Any) -> bool:
    """Whether YAML can be written with it as a key that is read back."""
    return isinstance(value, (int, str, datetime.date))


ODD = "\x00\x01\x07\x0b\x1b\x7f\x85\xa0\u2028\u2029\ufeff\uffff\U0001f642\u0301:{}[]&*!|>'\"#%@`-?,~\t\r\n "
TREES: tuple[dict[str, Any], ...] = tuple(yaml.safe_load(text) for text in SKELETONS)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 10**30, 10**400, 1e308, math.nan, math.inf, -math.inf, 1e-320]),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from([v for v in RAW if v]),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC)),
    st.binary(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | SCALARS.filter(_is_key), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.text(max_size=5) | st.sampled_from(
    sorted({*PipelineSpec.model_fields, *ALIASES, "overlays", "type", "join", "class", "kind"})
)
Change = Callable[[list[str], st.DrawFn], list[str]]


def _at(lines: list[str], draw: st.DrawFn) -> int:
    return draw(st.integers(0, max(len(lines) - 1, 0)))


def drop(lines: list[str], draw: st.DrawFn) -> list[str]:
    at = _at(lines, draw)
    return lines[:at] + lines[at + 1 :]


def double(lines: list[str], draw: st.DrawFn) -> list[str]:
    at = _at(lines, draw)
    return lines[:at] + lines[at : at + draw(st.integers(1, 3))] + lines[at:]


def move(lines: list[str], draw: st.DrawFn) -> list[str]:
    at, to = _at(lines, draw), _at(lines, draw)
    rest = lines[:at] + lines[at + 1 :]
    return rest[:to] + lines[at : at + 1] + rest[to:]


def indent(lines: list[str], draw: st.DrawFn) -> list[str]:
    at = _at(lines, draw)
    by = draw(st.sampled_from(["  ", " ", "\t", "    - "]))
    return [by + x if i == at else x for i, x in enumerate(lines)]


def misspell(lines: list[str], draw: st.DrawFn) -> list[str]:
    """A letter of a word is dropped, doubled or exchanged."""
    at = _at(lines, draw)
    words = list(re.finditer(r"\w+", lines[at])) if lines else []
    if not words:
        return lines
    word = draw(st.sampled_from(words))
    i = draw(st.integers(word.start(), word.end() - 1))
    line = lines[at]
    wrong = line[:i] + draw(st.sampled_from(["", line[i] * 2, "x", line[i].upper()])) + line[i + 1 :]
    return [wrong if n == at else x for n, x in enumerate(lines)]


def retype(lines: list[str], draw: st.DrawFn) -> list[str]:
    """A value, or a part of a flow list or mapping, is something else."""
    at = _at(lines, draw)
    spans = (
        list(re.finditer(r"(?<=: )[^,{}\[\]\n]+|(?<=[\[,] )[^,\]]+|(?<=: )[\[{].*", lines[at]))
        if lines
        else []
    )
    if not spans:
        return lines
    span, line = draw(st.sampled_from(spans)), lines[at]
    new = draw(st.sampled_from(RAW))
    return [line[: span.start()] + new + line[span.end() :] if n == at else x for n, x in enumerate(lines)]


def insert(lines: list[str], draw: st.DrawFn) -> list[str]:
    at = _at(lines, draw)
    return [*lines[:at], *draw(st.sampled_from(BLOCKS)).splitlines(), *lines[at:]]


def spoil(lines: list[str], draw: st.DrawFn) -> list[str]:
    """Odd characters anywhere in a line."""
    at = _at(lines, draw)
    if not lines:
        return lines
    line = lines[at]
    i = draw(st.integers(0, len(line)))
    odd = draw(st.text(alphabet=ODD, min_size=1, max_size=3))
    return [line[:i] + odd + line[i:] if n == at else x for n, x in enumerate(lines)]


CHANGES: tuple[Change, ...] = (drop, double, move, indent, misspell, retype, retype, retype, insert, spoil)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A skeleton with one to four changes of lines; often it is no YAML any more."""
    lines = draw(st.sampled_from(SKELETONS)).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        lines = draw(st.sampled_from(CHANGES))(lines, draw)
    return "\n".join(lines) + "\n"


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [below for key, inner in items for below in [(*path, key), *places(inner, (*path, key))]]


def _holder(value: Any, path: Sequence[Any]) -> Any:
    for step in path[:-1]:
        value = value[step]
    return value


@st.composite
def rewritten(draw: st.DrawFn) -> str:
    """A skeleton whose settings are dropped, renamed, retyped, moved, wrapped or doubled, and written as YAML again."""
    root: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(TREES)))
    for _ in range(draw(st.integers(1, 4))):
        known = places(root)
        if not known:
            break
        path = draw(st.sampled_from(known))
        holder, last = _holder(root, path), path[-1]
        how = draw(st.sampled_from(["drop", "rename", "retype", "retype", "move", "wrap"]))
        if how == "retype":
            holder[last] = draw(VALUES)
        elif how == "wrap":
            holder[last] = draw(
                st.sampled_from([[holder[last]], {str(last): holder[last]}, {"default": holder[last]}])
            )
        else:
            value = holder.pop(last)
            new = draw(NAMES) if how == "rename" else last
            target = root if how == "move" else holder
            if how != "drop" and isinstance(target, dict):
                target[new] = value
    known = places(root)
    if known and draw(st.integers(0, 4)) == 0:
        # The same object at two places is written as an anchor and its alias; below itself it is a loop.
        one, other = draw(st.sampled_from(known)), draw(st.sampled_from(known))
        _holder(root, other)[other[-1]] = _holder(root, one)[one[-1]]
    return str(
        yaml.dump(
            root,
            Dumper=yaml.SafeDumper,
            default_flow_style=draw(st.sampled_from([None, True, False])),
            allow_unicode=draw(st.booleans()),
        )
    )


def texts() -> st.SearchStrategy[str]:
    """Texts that are nearly a pipeline; most of them are YAML."""
    return st.one_of(rewritten(), rewritten(), broken())


@st.composite
def raw(draw: st.DrawFn) -> bytes:
    """A skeleton with bytes exchanged, taken out, put in, or cut off."""
    data = bytearray(
        draw(st.sampled_from(SKELETONS)).encode(
            draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
        )
    )
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        size = draw(st.integers(0, 3))
        data[at : at + size] = draw(st.binary(max_size=3))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 5)) == 0 else data)
