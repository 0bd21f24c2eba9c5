"""Root cause: each rule by hand, and the order in which they hold."""

import pytest

from mlpipe.core.causes import Change, Evidence, Moved, cause, ranked

DAYS = tuple(f"2025-01-{n:02d}" for n in range(10, 20))


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
