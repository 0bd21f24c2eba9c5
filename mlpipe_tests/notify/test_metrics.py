"""What Prometheus is told: by hand from records, and scraped by a real Prometheus where there is one."""

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.index.shelf import open_shelf
from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.promotion import decide
from mlpipe.notify.endpoint import FRESH, Exposed, push, server
from mlpipe.notify.exposition import CONTENT_TYPE, exposed
from mlpipe.notify.metrics import families
from mlpipe.records.codec import sealed, to_bytes
from mlpipe.records.record import Record
from mlpipe.stores.store import Store
from mlpipe_tests.ledger.chains import candidate, day
from mlpipe_tests.notify.receiver import Answer, receiver

RULES = Path(__file__).parents[2] / "docs/runbooks/prometheus-rules.yml"
MOMENT = datetime(2024, 1, 5, tzinfo=UTC)
DAY = {
    "version": 1,
    "alarms": ["size"],
    "drifted": ["size", "price"],
    "skewed": ["size"],
    "watched": 4,
    "worst_psi": 0.4,
    "psi": {"size": [0.4, 0.25], 'odd "one"': [0.3, None]},
    "score_psi": None,
    "primary": "roc_auc",
    "rolling": 0.61,
    "realised": None,
    "estimated": 0.63,
    "estimated_low": 0.6,
    "business": {"refunds": 12.5},
    "levels": {
        "age_hours": [30.0, "missed"],
        "missing_rate": [0.001, "met"],
        "label_coverage": [None, "unknown"],
    },
    "exhausted": ["age_hours"],
}


def kept(store: Store, pipeline: str, asset: str, partition: str, verdict: str, **head: Any) -> None:
    record = sealed(
        Record(
            pipeline=pipeline,
            stage=asset,
            asset=f"{pipeline}/{asset}",
            partition=partition,
            as_of=MOMENT,
            recorded_at=MOMENT,
            verdict=verdict,
            data={"head": head},
        )
    )
    store.add_record(pipeline, record.id, to_bytes(record))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two pipelines: a shop that drifts, and trips without a champion."""
    made = Store.open(str(tmp_path_factory.mktemp("metrics") / "store"))
    kept(made, "shop", "monitor", "2024-01-04", "stable", **{**DAY, "worst_psi": 0.1})
    kept(made, "shop", "monitor", "2024-01-05", "drift", **DAY)
    # Nothing was compared on the day after: what held goes on holding.
    kept(made, "shop", "monitor", "2024-01-06", "no_data")
    rows = {"rows": {"raw": 80, "kept": 12, "quarantined": 68}}
    kept(made, "shop", "validated", "2024-01-05", "fail", score=0.15, rows=rows)
    kept(made, "trips", "raw", "2024-01-05", "")
    ledger = Ledger(made.backend, "shop", deployment="dev")
    decide(
        ledger, candidate("b1", 4), actor="a", reason="r", now=day(5), details={"metrics": {"roc_auc": 0.7}}
    )
    return made


def text(store: Store, *pipelines: str) -> str:
    with open_shelf(store.url) as shelf:
        return exposed(families(shelf, pipelines))


def values(store: Store, *pipelines: str) -> dict[str, float]:
    """Samples without the labels that all have."""
    plain = text(store, *pipelines).replace('deployment="dev"', "").replace('pipeline="shop",', "")
    lines = [line.rpartition(" ") for line in plain.splitlines() if not line.startswith("#")]
    return {
        name.replace("{,", "{").replace("{}", "").removeprefix("mlpipe_"): float(v) for name, _, v in lines
    }


def test_each_sample_is_what_the_newest_record_says(store: Store) -> None:
    told = values(store, "shop")
    assert told == {
        "champion_version": 1,
        "champion_since_timestamp_seconds": day(5).timestamp(),
        "promotion_paused": 0,
        'promised{metric="roc_auc"}': 0.7,
        "worst_psi": 0.4,
        "watched_columns": 4,
        "drifted_columns": 2,
        'psi{column="size"}': 0.4,
        'psi_limit{column="size"}': 0.25,
        'psi{column="odd \\"one\\""}': 0.3,
        'rolling{metric="roc_auc"}': 0.61,
        'estimated{metric="roc_auc"}': 0.63,
        'estimated_low{metric="roc_auc"}': 0.6,
        'business{name="refunds"}': 12.5,
        'level{indicator="age_hours"}': 30,
        'level_met{indicator="age_hours"}': 0,
        'level_budget_exhausted{indicator="age_hours"}': 1,
        'level{indicator="missing_rate"}': 0.001,
        'level_met{indicator="missing_rate"}': 1,
        'level_budget_exhausted{indicator="missing_rate"}': 0,
        "quality": 0.15,
        'rows{source="rows",rows="raw"}': 80,
        'rows{source="rows",rows="kept"}': 12,
        'rows{source="rows",rows="quarantined"}': 68,
        'alerts_open{kind="drift"}': 1,
        'alerts_open{kind="skew"}': 1,
        'alerts_open{kind="level"}': 1,
        'alerts_open{kind="invalid"}': 1,
        'last_success_timestamp_seconds{asset="monitor"}': MOMENT.timestamp(),
        'last_success_timestamp_seconds{asset="validated"}': MOMENT.timestamp(),
    }


def test_all_pipelines_of_a_store_are_told_and_one_that_is_not_there_is_named(store: Store) -> None:
    whole = text(store)
    assert whole.count("# TYPE mlpipe_last_success_timestamp_seconds") == 1
    assert 'pipeline="trips",deployment="dev",asset="raw"' in whole
    assert "champion" not in text(store, "trips")
    with pytest.raises(NotFoundError, match="'shp' has no records") as caught:
        text(store, "shp")
    assert "shop" in caught.value.fix


@contextmanager
def serving(make: Any, told: list[str] | None = None) -> Iterator[str]:
    """Address of an endpoint on a port of its own."""
    with server(make, "127.0.0.1", 0, (told if told is not None else []).append) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{made.server_address[1]}"
        made.shutdown()
        thread.join()


def test_the_endpoint_answers_a_scrape_and_nothing_else(store: Store) -> None:
    with serving(lambda: text(store, "shop")) as url:
        with urlopen(f"{url}/metrics?x=1") as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE and answer.read().decode() == text(
                store, "shop"
            )
        with urlopen(url) as answer:
            assert b"/metrics" in answer.read()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{url}/../etc/passwd")


def test_what_cannot_be_read_is_a_scrape_that_fails() -> None:
    def broken() -> str:
        raise MlpipeError("the store is gone")

    told: list[str] = []
    with serving(broken, told) as url:
        with pytest.raises(HTTPError, match="500") as caught:
            urlopen(f"{url}/metrics")
        caught.value.close()
    assert told == ["a scrape was not answered: the store is gone"]


def test_scrapes_that_come_together_cost_one() -> None:
    now, made = [0.0], []
    exposed_ = Exposed(lambda: str(made.append(1) or len(made)), lambda: now[0])
    assert [exposed_.text(), exposed_.text()] == ["1", "1"]
    now[0] = FRESH
    assert exposed_.text() == "2"


def test_a_port_that_is_taken_is_told() -> None:
    in_use = pytest.raises(MlpipeError, match="nothing can listen there: Address already in use")
    with socket.create_server(("127.0.0.1", 0)) as taken, in_use:
        server(str, "127.0.0.1", taken.getsockname()[1], print)
    with pytest.raises(MlpipeError, match="nothing can listen there"):
        server(str, "127.0.0.1", 70000, print)


def test_metrics_are_put_onto_a_gateway_under_their_job() -> None:
    with receiver(Answer(202), Answer(400)) as there:
        gateway = f"http://127.0.0.1:{there.port}/"
        push("m 1\n", gateway, "nightly")
        ((method, path, headers, body),) = there.got
        assert (method, path, body) == ("PUT", "/metrics/job/nightly", b"m 1\n")
        assert headers["Content-Type"] == CONTENT_TYPE
        with pytest.raises(MlpipeError, match="did not take the metrics: it answered 400"):
            push("m 1\n", gateway, "j")
    with pytest.raises(MlpipeError, match="Connection refused"):
        push("m 1\n", gateway, "j")
    with pytest.raises(MlpipeError, match="'ml/pipe' is no name of a job"):
        push("m 1\n", gateway, "ml/pipe")
    for wrong in ("pushgateway:9091", "ftp://x", "http://", "http://u:p@x"):
        with pytest.raises(MlpipeError, match="no address of a Pushgateway"):
            push("m 1\n", wrong, "j")


# -- a real Prometheus ---------------------------------------------------------------------------------------------


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(
            f"NO {name.upper()}: metrics and rules are not tested against a real Prometheus; apt install prometheus"
        )
    return found


def test_the_rules_are_rules_and_name_runbooks_and_metrics_that_are_there(store: Store) -> None:
    checked = subprocess.run(
        [tool("promtool"), "check", "rules", str(RULES)], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr.decode()
    rules = RULES.read_text()
    named = set(re.findall(r"\bmlpipe_\w+", rules))
    known = {line.split()[2] for line in text(store).splitlines() if line.startswith("# TYPE")}
    assert named - known == {"mlpipe_score_psi"}, "the score of the shop is not known"
    pages = set(re.findall(r"docs/\S+\.md", rules))
    assert pages and all((RULES.parents[2] / page).is_file() for page in pages)


def test_a_real_prometheus_scrapes_the_endpoint_and_alerts(store: Store, tmp_path: Path) -> None:
    program = tool("prometheus")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(lambda: text(store, "shop")) as url:
        target = url.removeprefix("http://")
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: ['{RULES}']\n"
            f"scrape_configs: [{{job_name: mlpipe, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        command = [
            program,
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
        ]
        with (tmp_path / "log").open("wb") as log:
            running = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
            )
        try:
            psi = asked(port, 'mlpipe_psi{column="size"}', tmp_path / "log")
            assert psi["metric"]["pipeline"] == "shop" and float(psi["value"][1]) == 0.4
            odd = asked(port, "mlpipe_psi < 0.35", tmp_path / "log")
            assert odd["metric"]["column"] == 'odd "one"'
            alert = asked(
                port, 'ALERTS{alertname="MlpipeBudgetUsedUp",alertstate="firing"}', tmp_path / "log"
            )
            assert alert["metric"]["indicator"] == "age_hours"
        finally:
            running.terminate()
            running.wait(30)


def asked(port: int, query: str, log: Path) -> dict[str, Any]:
    """The one answer to a query, as soon as there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            found = []
        if found:
            assert len(found) == 1
            return dict(found[0])
        time.sleep(0.2)
    raise AssertionError(f"Prometheus has no answer to {query}:\n{log.read_text()[-2000:]}")
