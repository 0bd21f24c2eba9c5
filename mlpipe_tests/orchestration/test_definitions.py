"""Definitions as a code location: several pipelines, no warnings, and what does not fit is refused."""

import warnings
from pathlib import Path

import dagster as dg
import pytest

from mlpipe.orchestration.definitions import PIPELINES
from mlpipe_tests.house import ROOT
from mlpipe_tests.orchestration.shop import shop
from mlpipe_tests.orchestration.test_component import dg_command


def test_two_pipelines_share_a_code_location() -> None:
    both = dg.Definitions.merge(shop().definitions(), shop(name="mart").definitions())
    dg.Definitions.validate_loadable(both)
    keys = {s.key.to_user_string() for s in both.resolve_all_asset_specs()}
    assert len(keys) == 22 and {"shop/model", "mart/model"} <= keys
    jobs = {j.name for j in both.resolve_all_job_defs()}
    assert {"shop_training", "mart_training", "mart_daily"} <= jobs
    assert PIPELINES["mart"].name == "mart" and PIPELINES["shop"].name == "shop"


def test_the_same_name_twice_is_refused() -> None:
    both = dg.Definitions.merge
    with pytest.raises(dg.DagsterError, match="shop"):
        dg.Definitions.validate_loadable(both(shop().definitions(), shop(seed=1).definitions()))


def test_no_warning_reaches_the_user() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dg.Definitions.validate_loadable(shop(automation="on", pool="gpu", timeout="1m").definitions())
    assert [str(w.message) for w in caught] == []


@pytest.mark.parametrize("words", [("check", "defs"), ("list", "defs")])
def test_the_example_is_clean_for_dg(words: tuple[str, ...], tmp_path: Path) -> None:
    done = dg_command(ROOT / "examples/flights", *words, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not [w for w in ("Warning", "retrain") if w in done.stderr], done.stderr
