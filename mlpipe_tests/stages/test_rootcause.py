"""Root cause from records: drift with its day, a day with too few rows, a type that changed, and quiet days that have none."""

import pytest

from mlpipe.stages.rootcause import found
from mlpipe_tests.stages.pipelines import DATA, LIVE, TRAINING, World, day, days, scheduled, spec_of, written


def shifted(frame):
    """A day on which everybody listens three times as long."""
    return frame.assign(hours=frame["hours"] * 3 + 10)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Forty days: too few rows on day 30, longer hours from day 35 on; a model at day 25."""
    folder = tmp_path_factory.mktemp("rootcause")
    changes = {f"d{n}": shifted for n in range(35, 40)} | {"d30": lambda frame: frame.head(20)}
    spec = spec_of(written(folder / "data", days(40), **changes), monitor={"window": 4, "grid_window": 5})
    world = World(folder / "store")
    world.run_all(DATA, spec, days(40))
    world.run_all(TRAINING, spec, [day(25)], **scheduled())
    world.run_all(LIVE, spec, days(15, first=25))
    return world, spec, world.context(spec)


def test_a_quiet_day_has_no_cause(watched):
    _, spec, ctx = watched
    assert found(spec, day(29), ctx).kind == "nothing"


def test_drift_is_named_with_its_column_and_its_day(watched):
    _, spec, ctx = watched
    cause = found(spec, day(38), ctx)
    assert (cause.kind, cause.column, cause.since) == ("covariate drift", "hours", day(35))
    assert "what the champion goes by" in cause.evidence[0]


def test_too_few_rows_are_a_fault_of_that_day(watched):
    _, spec, ctx = watched
    cause = found(spec, day(30), ctx)
    assert (cause.kind, cause.since) == ("data bug", day(30))
    assert cause.upstream == (f"{day(30)}: 20 rows came, the fewest of the weeks before were 60",)
    # Four days later it has left the window.
    assert found(spec, day(34), ctx).kind == "nothing"


def test_a_day_that_failed_validation_says_what_broke(tmp_path):
    spec = spec_of(written(tmp_path / "data", days(4), d3=lambda f: f.head(0)))
    world = World(tmp_path / "store")
    world.run_all(DATA, spec, days(4))
    cause = found(spec, day(3), world.context(spec))
    assert cause.kind == "data bug" and cause.upstream[0].startswith(f"{day(3)}: validation says 'empty': ")
