"""Random queries from the grammar, against the index and against plain Python."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpipe.index import blocks, planner, scan
from mlpipe.index.index import Index
from mlpipe.records.record import Environment, Record
from mlpipe_tests.index import oracle
from mlpipe_tests.index.conftest import emptied
from mlpipe_tests.index.made import START, STORE, evaluation, metric, record, training
from mlpipe_tests.index.oracle import Test, Values

NUMBERS = [0, 1, 2, -1, 0.5, 1e-3, 1e300, -2.5, 7, True, False]
TEXTS = [
    "adam",
    "Adam",
    "adamw",
    "a%b",
    "a_b",
    "a*b",
    "[x]",
    "ä",
    "",
    "nan",
    "10",
    'say "hi"',
    "back\\slash",
    "zz\U0001f600",
    "a\nb",
]
KEYS = [
    "params.a",
    "params.b",
    "params.deep.c",
    "params.list.1",
    "tags.owner",
    "metrics.f1",
    "metrics.valid.f1",
    "metrics.test.f1",
]
COLUMNS = ["partition", "verdict", "experiment", "actor", "run", "headline", "environment.host"]


def some_records() -> list[Record]:
    """Records in which everything occurs: missing keys, several types under one key, ties, odd texts, evaluations."""
    chance = random.Random(7)
    made: list[Record] = []
    for i in range(120):
        params: dict[str, Any] = {"list": [chance.choice(NUMBERS), chance.choice([*NUMBERS, *TEXTS, None])]}
        for key in ("a", "b"):
            if chance.random() < 0.7:
                params[key] = chance.choice([*NUMBERS, *TEXTS])
        if chance.random() < 0.5:
            params["deep"] = {"c": chance.choice(NUMBERS)}
        value = chance.choice([0.1, 0.5, 0.5, 0.9, chance.random(), float("nan")])
        fields: dict[str, Any] = {
            "params": params,
            "metrics": (metric("f1", value, "valid"),) if chance.random() < 0.8 else (),
            "tags": {"owner": chance.choice(["ana", "bob", "ä"])} if chance.random() < 0.8 else {},
            "verdict": chance.choice(["", "trained", "refused"]),
            "experiment": chance.choice(["", "", "sweep"]),
            "run": f"run-{i // 2}",
            "headline": chance.choice(["", *TEXTS]),
            "actor": chance.choice(["ana@host", "Bob"]),
            "reused": chance.random() < 0.2,
            "environment": Environment(host=chance.choice(["one", "two", ""])),
            "recorded_at": START + timedelta(days=chance.randint(0, 9), hours=chance.choice([0, 0, 3])),
        }
        made.append(training(i % 30, f"bundle-{i % 100}", **fields))
    judged = [evaluation(chance.choice(made), 40 + i, f1=chance.choice([0.2, 0.5, 0.8])) for i in range(40)]
    return [*made, *judged, *(record(i, chance.choice(["raw", "trial"])) for i in range(20))]


RECORDS = some_records()
EVALUATIONS = [r for r in RECORDS if r.stage == "evaluate"]
ROWS = [oracle.values_of(r, EVALUATIONS) for r in RECORDS]


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[list[Index]]:
    file = tmp_path_factory.mktemp("queries") / "index.sqlite"
    with (
        patch.object(blocks, "SIZE", 32),
        patch.object(blocks, "STALE", 40),
        Index.open(f"sqlite:///{file}", create=True) as one,
        Index.open(emptied(server), create=True) as other,
    ):
        shuffled = random.Random(1).sample(RECORDS, len(RECORDS))
        one.add(RECORDS, STORE)
        for i in range(0, len(shuffled), 50):
            other.add(shuffled[i : i + 50], STORE)
        # Some changed after their blocks were written, and one that came last is looked at itself.
        for index in (one, other):
            index.add(RECORDS[:5], STORE, replace=True)
            held = index.database.run("select max(number) from block")[0][0]
            assert held * blocks.SIZE > 100 and len(index.database.run("select * from stale")) > 4
        yield [one, other]


def literals(key: str) -> st.SearchStrategy[Any]:
    if key in COLUMNS:
        return st.sampled_from([*TEXTS, "trained", "sweep", "2024-01-05", "one", "Bob"])
    return st.sampled_from([*NUMBERS, *TEXTS, "ana", 0.2, 0.8])


@st.composite
def leaves(draw: st.DrawFn) -> tuple[str, Test]:
    kind = draw(st.sampled_from(["compare"] * 4 + ["in", "like", "null", "time", "flag", "number"]))
    negated = draw(st.booleans())
    no = "not " if negated else ""
    if kind == "time":
        key, operator = draw(st.sampled_from(["started", "as_of"])), draw(operators())
        moment = START + timedelta(days=draw(st.integers(-1, 11)), hours=draw(st.sampled_from([0, 3])))
        return f"{key} {operator} {oracle.spelled(moment)}", oracle.compare(key, operator, moment)
    if kind == "flag":
        return f"reused = {oracle.spelled(negated)}", oracle.compare("reused", "=", negated)
    if kind == "number":
        operator, size = draw(operators()), draw(st.sampled_from([0.0, 100.0, 50.5]))
        return f"size {operator} {size}", oracle.compare("size", operator, size)
    key = draw(st.sampled_from([*KEYS, *COLUMNS]))
    if kind == "null":
        return f"{key} is {no}null", lambda v: (key in v) == negated
    if kind == "like":
        pattern = draw(
            st.text(st.sampled_from("adm%_Aä*[]x\\"), max_size=5)
            | st.sampled_from(["a%", "%", "", "ad_m", "a\nb"])
        )
        return f"{key} {no}like {oracle.spelled(pattern)}", oracle.like(key, pattern, negated)
    if kind == "in":
        wanted = draw(st.lists(literals(key), min_size=1, max_size=4))
        text = ", ".join(oracle.spelled(w) for w in wanted)
        return f"{key} {no}in ({text})", oracle.within(key, wanted, negated)
    operator, wanted = draw(operators()), draw(literals(key))
    return f"{key} {operator} {oracle.spelled(wanted)}", oracle.compare(key, operator, wanted)


def operators() -> st.SearchStrategy[str]:
    return st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def joined(parts: st.SearchStrategy[tuple[str, Test]]) -> st.SearchStrategy[tuple[str, Test]]:
    both = st.tuples(parts, parts)
    return (
        both.map(lambda p: (f"({p[0][0]} and {p[1][0]})", lambda v: p[0][1](v) and p[1][1](v)))
        | both.map(lambda p: (f"({p[0][0]} or {p[1][0]})", lambda v: p[0][1](v) or p[1][1](v)))
        | parts.map(lambda p: (f"not {p[0]}", lambda v: not p[1](v)))
        # Without parentheses: 'and' binds more tightly than 'or', 'not' most tightly.
        | st.tuples(parts, parts, parts).map(
            lambda p: (
                f"({p[0][0]} or {p[1][0]} and not {p[2][0]})",
                lambda v: p[0][1](v) or (p[1][1](v) and not p[2][1](v)),
            )
        )
    )


conditions = st.recursive(leaves(), joined, max_leaves=6)
orders = st.lists(
    st.tuples(st.sampled_from([*KEYS, *COLUMNS, "started", "size", "reused"]), st.booleans()), max_size=3
)
limits = st.none() | st.integers(1, 12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    condition=st.none() | conditions,
    order=orders,
    limit=limits,
    few=st.sampled_from([0, 0, 10, 2000]),
    some=st.sampled_from([3, 20_000]),
    staged=st.booleans(),
)
def test_the_index_answers_as_plain_python_does(
    indexes: list[Index],
    condition: tuple[str, Test] | None,
    order: list[tuple[str, bool]],
    limit: int | None,
    few: int,
    some: int,
    staged: bool,
) -> None:
    text, test = condition or ("", lambda v: True)
    pool: list[Values] = [v for v in ROWS if v["stage"] in ("train", "trial")]
    if staged:
        text, pool = (f"{text} and " if text else "") + 'stage like "%"', list(ROWS)
    if order:
        text += " order by " + ", ".join(f"{key}{' desc' if down else ''}" for key, down in order)
    if limit:
        text += f" limit {limit}"
    wanted = oracle.ordered([v for v in pool if test(v)], order)
    for index in indexes:
        # With other limits other plans are chosen; the answer may not depend on that.
        with (
            patch.object(planner, "FEW", few),
            patch.object(planner, "MANY", few),
            patch.object(planner, "FAR", few),
            patch.object(scan, "SOME", some),
            patch.object(scan, "TIED", 0),
        ):
            answer = index.ask(text)
        assert [r["id"] for r in answer.rows] == [v["id"] for v in wanted[:limit]], (text, answer.way)
        assert answer.more == (limit is not None and len(wanted) > limit)
