"""Root cause: each rule by hand, and the order in which they hold."""

import pytest

from mlpipe.core.causes import Change, Evidence, Moved, cause, ranked

DAYS = tuple(f"2025-01-{n:02d}" for n in range(10, 20))

FEWER = tuple(Change(day, "rows fell", alone=True) for day in (7, 8, 9))


def test_nothing_raised_is_nothing() -> None:
    assert cause(Evidence(DAYS, (Moved("hours", 0.99),))).kind == "nothing"


def test_columns_rank_by_drift_times_importance() -> None:
    order = ranked([Moved("a", 8.0, 0.1), Moved("b", 2.0, 0.6), Moved("c", 0.5, 0.3)])
    assert [(c.column, share) for c, share in order] == [
        ("b", pytest.approx(0.6)),
        ("a", pytest.approx(0.4)),
    ]


def test_without_importance_all_weigh_alike_and_that_is_said() -> None:
    found = cause(Evidence(DAYS, (Moved("a", 3.0), Moved("b", 1.0))))
    assert found.ranking == (("a", 0.75), ("b", 0.25))
    assert "no importance of columns is recorded, so all weigh alike" in found.evidence


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        ({"columns": (Moved("a", 2.0, since=5),)}, "covariate drift"),
        ({"columns": (Moved("a", 2.0, nulls=0.05),)}, "data bug"),
        ({"columns": (Moved("a", 2.0, unseen=0.05),)}, "data bug"),
        ({"columns": (Moved("a", 2.0, since=5),), "changes": (Change(3, "rows"),)}, "data bug"),
        ({"columns": (Moved("a", 2.0, since=5),), "changes": (Change(2, "rows"),)}, "covariate drift"),
        ({"changes": (Change(3, "rows fell", alone=True),)}, "data bug"),
        (
            {"columns": (Moved("a", 2.0, since=5),), "changes": (Change(8, "no rows", alone=True),)},
            "covariate drift",
        ),
        ({"columns": (Moved("a", 2.0),), "changes": (Change(8, "no rows", alone=True),)}, "data bug"),
        (
            {"fell": "f1 fell", "told": ("b tells",), "changes": (Change(8, "no rows", alone=True),)},
            "concept drift",
        ),
        ({"fell": "f1 fell", "told": ("b tells",), "changes": FEWER}, "data bug"),
        ({"fell": "f1 fell", "changes": (Change(8, "no rows", alone=True),)}, "data bug"),
        ({"columns": (Moved("a", 2.0, a_year_ago=0.4),)}, "seasonal"),
        ({"columns": (Moved("a", 2.0, a_year_ago=1.1),)}, "covariate drift"),
        ({"fell": "f1 fell"}, "concept drift"),
        ({"fell": "f1 fell", "columns": (Moved("a", 2.0),)}, "covariate drift"),
        ({"fell": "f1 fell", "columns": (Moved("a", 2.0),), "told": ("b tells",)}, "concept drift"),
        ({"fell": "f1 fell", "labels": ("10% flipped",)}, "label problem"),
        ({"skewed": ("a",), "labels": ("late",)}, "train-serve skew"),
    ],
)
def test_the_first_rule_that_holds_names_the_kind(seen: dict[str, object], kind: str) -> None:
    assert cause(Evidence(DAYS, **seen)).kind == kind  # type: ignore[arg-type]


def test_a_cause_names_column_day_and_what_changed() -> None:
    found = cause(
        Evidence(
            DAYS,
            (Moved("hours", 7.0, 0.5, since=5, nulls=0.4),),
            (Change(5, "hours: type float to string"), Change(0, "an old change")),
        )
    )
    assert (found.kind, found.column, found.since) == ("data bug", "hours", "2025-01-15")
    assert found.upstream == ("2025-01-15: hours: type float to string",)
    assert found.evidence == (
        "hours drifts 7 times its limit (50% of what the champion goes by; since 2025-01-15; +40% missing)",
    )


def test_faults_that_explain_nothing_are_told_beside_the_cause() -> None:
    found = cause(Evidence(DAYS, (Moved("km", 3.0, since=2),), (Change(7, "no rows came", alone=True),)))
    assert (found.kind, found.since, found.upstream) == ("covariate drift", "2025-01-12", ())
    assert found.evidence[-1] == "2025-01-17: no rows came"


@pytest.mark.parametrize(("window", "kind"), [(4, "data bug"), (5, "concept drift")])
def test_faults_of_a_quarter_of_the_window_explain_a_fall(window: int, kind: str) -> None:
    fault = Change(9, "3 rows came", alone=True)
    found = cause(
        Evidence(DAYS, changes=(fault,), fell="f1 fell", told=("km tells 8% of the mistakes",), window=window)
    )
    assert found.kind == kind and any("3 rows came" in t for t in (*found.upstream, *found.evidence))
