from collections.abc import Iterator
from unittest.mock import patch

import pytest

from mlpipe.errors import QueryError
from mlpipe.index import planner
from mlpipe.index.index import Index
from mlpipe_tests.index.conftest import emptied
from mlpipe_tests.index.made import STORE, metric, training


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A thousand trainings: a score that grows, a rate that falls, a tag that a hundredth bear."""
    made = [
        training(
            d % 300,
            f"bundle-{d}",
            params={"rate": 1.0 / (1 + d)},
            metrics=(metric("f1", d / 1000),),
            tags={"team": "small" if d % 100 == 0 else "large"},
        )
        for d in range(1000)
    ]
    url = f"sqlite:///{tmp_path_factory.mktemp('planner')}/index.sqlite"
    if request.param == "postgres":
        url = emptied(request.getfixturevalue("server"))
    with Index.open(url, create=True) as index:
        index.add(made, STORE)
        yield index


@pytest.mark.parametrize(
    ("query", "way", "count"),
    [
        ("metrics.f1 > 7 order by metrics.f1 desc limit 5", "filter", 0),
        ('tags.team = "small" order by metrics.f1 desc limit 5', "filter", 5),
        ('tags.team = "large" order by metrics.f1 desc limit 5', "walk", 5),
        ("metrics.f1 >= 0 and params.rate > 0 limit 5", "walk", 5),
        # Each half matches many, both together none.
        ("metrics.f1 > 0.9 and params.rate > 0.01 order by as_of limit 5", "scan", 0),
        ("metrics.f1 < 0.5 and metrics.f1 > 0.6 order by as_of limit 5", "filter", 0),
        ("order by started", "scan", 1000),
        ("not metrics.f1 > 0.5 order by metrics.f1 limit 5", "walk", 5),
        ('tags.team = "small" or metrics.f1 > 0.995', "filter", 14),
        # A walk begins where the condition on its key does.
        ("metrics.f1 < 0.5 order by metrics.f1 desc limit 5", "walk", 5),
        ("not metrics.f1 >= 0.5 order by metrics.f1 desc limit 5", "walk", 5),
        ('not tags.team like "%l%" order by metrics.f1 limit 5', "scan", 0),
        ("not params.rate > 0 limit 5", "scan", 0),
    ],
)
def test_the_way_is_chosen_by_how_many_match(filled: Index, query: str, way: str, count: int) -> None:
    with patch.object(planner, "FEW", 50), patch.object(planner, "FAR", 50):
        answer = filled.ask(query)
    assert (answer.way, len(answer.rows)) == (way, count)


def test_among_many_equal_ones_the_next_key_leads(filled: Index) -> None:
    with patch.object(planner, "FEW", 50), patch.object(planner, "FAR", 50):
        answer = filled.ask("order by tags.team, metrics.f1 desc limit 3")
        across = filled.ask("order by tags.team desc, metrics.f1 limit 12")
    assert (answer.way, [row["metrics.f1"] for row in answer.rows]) == ("walk", [0.999, 0.998, 0.997])
    # Ten are of the small team, the others of the large one.
    assert [row["metrics.f1"] for row in across.rows] == [*(d / 10 for d in range(10)), 0.001, 0.002]
    assert across.way == "walk"


def test_nothing_that_is_typed_reaches_sql_as_text(filled: Index) -> None:
    nasty = "'; drop table record; --"
    for query in (
        f'tags.team = "{nasty}"',
        f'tags.team like "{nasty}%"',
        f'tags.team in ("{nasty}", "x")',
        f'actor > "{nasty}" limit 1',
    ):
        assert filled.ask(query).total == 0
    with pytest.raises(QueryError, match="no record has the key"):
        filled.ask(f'tags."{nasty}" = 1')
    assert filled.find(nasty) == [] and filled.find(f"flights@{nasty}") == [] and filled.count() == 1000


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("version > 'a'", "'version' is a number"),
        ("partition = 5", "'partition' is a text"),
        ("started > 5", "'started' is a time"),
        ('started > "yesterday"', "'started' is a time"),
        ("deleted > true", "'deleted' is true or false"),
        ('size like "1%"', "'size' is no text"),
    ],
)
def test_a_value_of_the_wrong_kind_is_an_error_at_its_place(filled: Index, query: str, expected: str) -> None:
    with pytest.raises(QueryError, match=expected) as caught:
        filled.ask(query)
    assert caught.value.at == max(query.find(x) for x in ("'a'", "5", '"yesterday"', "true", '"1%"'))


def test_a_day_is_the_whole_day(filled: Index) -> None:
    assert filled.ask("as_of = 2024-01-03").total == filled.ask("started = 2024-01-03").total == 4
    assert filled.ask("started <= 2024-01-03").total == 12 and filled.ask("started < 2024-01-03").total == 8
    assert (
        filled.ask("started > 2024-01-03").total == 988 and filled.ask("started != 2024-01-03").total == 996
    )
    assert filled.ask('partition = 2024-01-03 and started >= "2024-01-03 02:00"').total == 4
    assert filled.ask("as_of = 2024-02").total == 29 * 3 + 29
    assert filled.ask("as_of not in (2024-01, 2024-01-03)").total == 1000 - 31 * 4
