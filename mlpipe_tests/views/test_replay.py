"""A replay in words: what was asked and decided, how it went by month, in text, Markdown and JSON."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given

from mlpipe.errors import DataError
from mlpipe.views.lived import Tally, month_of, months, tally
from mlpipe.views.replay import Replay, as_json, as_markdown, as_text, finding, from_json, number, words
from mlpipe_tests.views.pasts import attempt, day, lived, past, replays

# Days 29 to 31 from the first of April are 30 April, 1 and 2 May.
FEW = [
    day(0, 0.75, 0.5),
    day(1, 0.25, 0.5),
    day(2, 0.5, 0.5),
    day(3, None, 0.5),
    day(4, 0.5, float("nan")),
    day(29, 0.5, 0.25),
    day(30, 0.5, 0.75),
    day(60, None, None),
]


def test_months_and_better_and_worse_days_by_hand() -> None:
    replay = past(FEW)
    assert months(replay) == (Tally("2013-04", 4, 0.5, 0.4375, 2, 1), Tally("2013-05", 1, 0.5, 0.75, 0, 1))
    whole = tally(replay, "all", replay.days)
    assert whole is not None and (whole.days, whole.better, whole.worse, whole.equal) == (5, 2, 2, 1)
    text = as_text(replay)
    rows = [line.split() for line in text.split("\n")]
    assert ["2013-04", "4", "0.5000", "0.4375", "+0.0625", "2", "1"] in rows
    assert ["2013-05", "1", "0.5000", "0.7500", "-0.2500", "0", "1"] in rows
    assert "8 lived through, 5 scored by both: live champion better on 2," in text


def test_where_lower_is_better_the_lower_day_is_the_better_one() -> None:
    lower = past(FEW, better="lower", metric="rmse", live=2.0, fixed=3.0)
    assert [(t.better, t.worse) for t in months(lower)] == [(1, 2), (1, 0)]
    assert "2.0000 live champion, 3.0000 never retrained: 1.0000 better" in as_text(lower)
    assert "1.0000 worse" in as_text(replace(lower, better="higher"))
    assert "(lower is better)" in as_text(lower)


def test_the_month_is_that_of_the_partition_not_of_its_end() -> None:
    assert [month_of(k) for k in ("2013-04-30", "2013-04-30-23:00", "all")] == ["2013-04", "2013-04", "all"]
    assert FEW[5].key == "2013-04-30" and FEW[5].moment.month == 5


def test_the_finding_counts_challengers_and_keeps_faults_apart() -> None:
    text = "3 of 13 challengers promoted; ROC AUC 0.727 live, 0.697 never retrained"
    assert finding(lived()) == f"{text}; the fault put in on purpose kept out"
    assert finding(past()) == "No retraining was asked for"
    assert finding(past(attempts=[attempt(1, "failed")])) == "1 retraining asked for, none gave a model"
    slipped = past(attempts=[attempt(1, "promoted", injected="noise"), attempt(2, injected="noise")])
    assert finding(slipped) == "1 of 2 faults put in on purpose kept out"
    assert finding(past(attempts=[attempt(1, "promoted")])) == "1 of 1 challenger promoted"


def test_every_retraining_has_its_row_with_cause_outcome_and_reason() -> None:
    replay = lived()
    text = as_text(replay)
    begun = [line for line in text.split("\n") if re.match(r"2013-\d\d-\d\d  ", line)]
    assert len(begun) == len(replay.attempts) + len(replay.moves)
    assert [line[:10] for line in begun] == sorted(line[:10] for line in begun)
    assert "promoted, flights@4" in text and "rollback, flights@5" in text and "scores looked odd" in text
    fault = next(line for line in begun if line.startswith("2013-07-16"))
    assert "FAULT PUT IN ON PURPOSE" in fault and "refused, flights@10" in fault
    assert "0.7312" in fault and "0.7291" in fault
    assert "14: 3 promoted, 10 refused, 1 failed" in text and "8 drift, 6 schedule" in text
    assert "shuffled-labels in the training of 2013-07-15: refused" in text
    assert "3: 2013-05-11 (validation), 2013-07-09 (validation)" in text


@pytest.mark.parametrize("width", [10, 80, 100, 140, 200])
def test_text_keeps_to_the_width(width: int) -> None:
    assert max(len(line) for line in as_text(lived(), width).split("\n")) <= max(width, 110)
    assert "-0.0034, +0.0078]" in re.sub(r"\s+", " ", as_text(lived(), 200))


def test_only_the_last_line_tells_the_wall_time() -> None:
    one, other = lived(), replace(lived(), seconds=999.0)
    assert as_text(one).split("\n")[:-1] == as_text(other).split("\n")[:-1]
    assert as_text(one).split("\n")[-1] == "Lived through in 71.3 s."
    assert as_markdown(one) == as_markdown(other) and "71.3" not in as_markdown(one)


def test_what_a_stranger_wrote_is_literal_in_markdown_and_harmless_in_text() -> None:
    bad = "<script>alert(1)</script> | **x** `y` [z](http://e) \x1b[2J\nnext"
    replay = past([day(0, note=bad)], [attempt(1, reason=bad, why=bad)], policy=bad)
    made = as_markdown(replay)
    assert "<script>" not in made and "&lt;script&gt;" in made and "**x**" not in made and r"\|" in made
    grids = [g.split("\n") for g in made.strip().split("\n\n") if g.startswith("|")]
    assert len(grids) == 3
    for grid in grids:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in grid}) == 1
    assert "\x1b" not in as_text(replay) and "\x1b" not in made


def test_numbers_and_names_are_written_for_people() -> None:
    assert [number(v) for v in (None, float("nan"), 0.0, 0.72345, 12.345, 12345.6, 1e-9, 3e12)] == [
        *("–", "–", "0.0000", "0.7235", "12.35", "12,346", "1e-09", "3e+12")
    ]
    assert [words(m) for m in ("roc_auc", "macro_f1", "log_loss", "rmse")] == [
        *("ROC AUC", "macro F1", "log loss", "RMSE")
    ]


def test_json_is_read_back_as_the_same_value() -> None:
    assert from_json(as_json(lived())) == lived()
    assert json.loads(as_json(lived()))["schema_version"] == 1
    # A number that is not finite has no place in JSON: it is unknown.
    assert from_json(as_json(past([day(0, float("nan"), 0.5)]))) == past([day(0, None, 0.5)])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1, "days": [{}]}']
)
def test_what_is_no_replay_is_said(text: str) -> None:
    with pytest.raises(DataError, match="this is no replay"):
        from_json(text)


@given(replays())
def test_any_replay_can_be_told(replay: Replay) -> None:
    assert as_text(replay, 80) and as_markdown(replay)
    again = from_json(as_json(replay))
    assert as_json(again) == as_json(replay) and as_text(again, 80) == as_text(replay, 80)
