"""The page on records is true: its queries are answered, its errors are those that come, its columns are those that there are."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe.errors import QueryError
from mlpipe.index.index import Index
from mlpipe.index.schema import COLUMNS
from mlpipe_tests.index.made import STORE, evaluation, metric, record, training

PAGE = (Path(__file__).resolve().parents[2] / "docs/records.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)
    return found


QUERIES = [line for block in blocks("query") for line in block.splitlines()]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    params = {"max_depth": 5, "optimizer": "adamw", "subsample": 0.5, "model_params": {"lr": 1e-4}}
    model = training(
        1,
        params=params,
        metrics=(metric("f1", 0.9, "valid"),),
        tags={"owner": "ana", "team/cost centre": "research"},
    )
    with Index.open(str(tmp_path_factory.mktemp("page") / "index.sqlite"), create=True) as made:
        made.add([model, evaluation(model, 2, f1=0.85), record(3, "monitor", verdict="drift")], STORE)
        yield made


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_page_is_answered(index: Index, query: str) -> None:
    answer = index.ask(query)
    assert {key.partition(".")[0] for key in answer.keys} >= {"id"}


def test_the_queries_find_what_they_say(index: Index) -> None:
    found = {query: index.ask(query).total for query in QUERIES}
    assert found["params.max_depth >= 4 and params.max_depth != 6"] == 1
    assert found['params.optimizer like "adam%" and not tags.owner = "bob"'] == 1
    assert found["params.subsample is null"] == 0
    assert found['tags."team/cost centre" = "research"'] == 1
    assert found['stage = "monitor" and verdict in ("drift", "no_data") order by as_of desc'] == 1
    assert len(QUERIES) >= 12


@pytest.mark.parametrize("block", blocks("error"))
def test_every_error_of_the_page_is_what_comes(index: Index, block: str) -> None:
    query, *message = block.rstrip("\n").splitlines()
    with pytest.raises(QueryError) as caught:
        index.ask(query)
    assert str(caught.value).splitlines() == message


def test_the_columns_of_the_page_are_those_that_there_are() -> None:
    table = PAGE.partition("| column | is |")[2].partition("\n\n")[0]
    named = [
        name
        for line in table.splitlines()
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1] if "|" in line else "")
    ]
    assert sorted(named) == sorted(COLUMNS)
