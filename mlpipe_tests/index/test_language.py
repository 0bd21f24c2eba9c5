import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.errors import QueryError
from mlpipe.index.language import parse
from mlpipe.index.lexer import moment_of
from mlpipe.index.query import All, Comparison, Missing, Moment, Not, Some, Within
from mlpipe.index.rows import micros

NOW = datetime(2024, 3, 31, 12, tzinfo=UTC)


def test_the_example_of_the_page_is_read_as_it_is_meant() -> None:
    query = parse(
        'metrics.f1 > 0.8 and (params.lr < 1e-3 or params.optimizer in ("adam", "adamw")) and tags.owner = "ana" '
        "and started > -30d order by metrics.f1 desc, started limit 20",
        NOW,
    )
    assert isinstance(query.where, All) and len(query.where.parts) == 4
    either = query.where.parts[1]
    assert isinstance(either, Some) and isinstance(either.parts[1], Within)
    last = query.where.parts[3]
    assert isinstance(last, Comparison) and isinstance(last.literal.value, Moment)
    assert last.literal.value.start == micros(datetime(2024, 3, 1, 12, tzinfo=UTC))
    assert [(o.key.name, o.descending) for o in query.order] == [("metrics.f1", True), ("started", False)]
    assert query.limit == 20 and [k.name for k in query.named()][:2] == ["metrics.f1", "params.lr"]


def test_not_binds_most_tightly_and_or_least() -> None:
    query = parse("not a = 1 and b = 2 or c is not null")
    assert isinstance(query.where, Some)
    both, last = query.where.parts
    assert isinstance(both, All) and isinstance(both.parts[0], Not)
    assert isinstance(last, Missing) and last.negated


def test_odd_keys_stand_in_quotes() -> None:
    query = parse(
        """tags."my key".'a"b' = 1 and "odd" = 2 and params.features.0 = "x" and tags.dagster/backfill = "y" """
    )
    assert [k.name for k in query.named()] == [
        'tags.my key.a"b',
        "odd",
        "params.features.0",
        "tags.dagster/backfill",
    ]


def test_dates_are_days_months_or_instants() -> None:
    day, month = moment_of("2024-02-29"), moment_of("2024-12")
    assert day.end - day.start == 86_400_000_000
    assert (month.start, month.end) == (
        micros(datetime(2024, 12, 1, tzinfo=UTC)),
        micros(datetime(2025, 1, 1, tzinfo=UTC)),
    )
    assert moment_of("2024-03-01T12:00+02:00").start == micros(datetime(2024, 3, 1, 10, tzinfo=UTC))
    assert not moment_of("2024-03-01 12:00:00").whole


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("a >", 3, "expected a value after '>'"),
        ("a > b", 4, 'Text stands in quotes: "b".'),
        ("a = null", 4, "Write 'is null' or 'is not null'."),
        ("5 < a", 0, "The key stands on the left"),
        ("a", 1, "expected =, !=, <, <=, >, >=, in, like or is; the query ends"),
        ("a = 1 b = 2", 6, "expected 'and', 'or', 'order by', 'limit' or the end; found b"),
        ("(a = 1", 6, "expected 'and', 'or' or ')'"),
        ("a in (1, )", 9, "expected a value after 'in'"),
        ("a like 5", 7, "expected a text with %"),
        ("a not = 5", 6, "expected 'in' or 'like'"),
        ("a = 1 order metrics", 12, "expected 'by'"),
        ("a = 1 limit 1.5", 12, "expected a whole number from 1 on"),
        ("a = 1 limit 5 and b = 1", 14, "expected the end"),
        ('a = "x', 4, "the text is not closed"),
        ("a = 12abc", 4, "expected a number, a date"),
        ("started > 2024-02-30", 10, "there is no such time as 2024-02-30"),
        ("a. = 1", 2, "expected the next part of the key"),
        ("a = 1 & b = 2", 6, "'&' begins nothing"),
        ("a = 1e999", 4, "too large"),
        ("started > -99999999999999d", 10, "before the year 1"),
    ],
)
def test_a_wrong_query_gets_a_caret_and_what_was_expected(text: str, at: int, expected: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text, NOW)
    lines = str(caught.value).splitlines()
    assert lines[1] == f"  {text}" and lines[2] == " " * (at + 2) + "^"
    assert expected in str(caught.value)


def test_the_caret_of_a_long_query_stays_on_the_line() -> None:
    text = "a = 1 and " * 30 + "b ~ 1"
    with pytest.raises(QueryError) as caught:
        parse(text)
    _, line, caret, *_ = str(caught.value).splitlines()
    assert len(line) < 130 and line[caret.index("^")] == "~"


def test_errors_survive_pickling() -> None:
    error = QueryError("what", query="a b", at=2, fix="Mend it.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_deep_and_long_queries_are_refused() -> None:
    with pytest.raises(QueryError, match="more than 100 conditions"):
        parse("(" * 5000)
    with pytest.raises(QueryError, match="at most 20000 characters"):
        parse("a = 1 and " * 5000)


@given(st.text(st.sampled_from("ab.\"'\\ ()<>=!,5-e2024dT:%ä\n andornotlikeinislimitorderby"), max_size=40))
def test_whatever_is_written_is_read_or_refused_with_a_place(text: str) -> None:
    places = [0]
    try:
        parse(text, NOW)
    except QueryError as error:
        places.append(error.at)
    assert all(0 <= at <= len(text) for at in places)
