"""The ledger as a table and as JSON lines."""

import json
from datetime import UTC, datetime
from pathlib import Path

from mlpipe.ledger import promotion
from mlpipe.ledger.chain import Ledger
from mlpipe.stores.local import LocalBackend
from mlpipe.views.history import as_json, as_table


def ledger(folder: Path) -> Ledger:
    made = Ledger(LocalBackend(folder), "shop", deployment="dev")
    for number in (1, 2):
        moment = datetime(2024, 3, number, tzinfo=UTC)
        candidate = promotion.Candidate(
            bundle=f"bundle-{number}",
            evaluation_id=f"rec-{number}",
            data_end=moment,
            trigger="manual",
            role="human",
            gates_passed=True,
            champion=number - 1 or None,
        )
        promotion.decide(made, candidate, actor="ann", reason=f"try {number}\x1b[2J", now=moment)
    return made


def test_nothing_decided_says_how_to_begin(tmp_path: Path) -> None:
    empty = Ledger(LocalBackend(tmp_path), "shop", deployment="dev")
    text = as_table("shop", empty.entries(), empty.state())
    assert "nothing was decided yet" in text and "mlpipe run shop" in text
    assert as_json(empty.entries()) == "" and "Other chains" not in text
    text = as_table("shop", (), empty.state(), others=["replay-1", "replay-2"])
    assert text.endswith("Other chains of decisions, looked at by --ledger: replay-1, replay-2")


def test_the_table_tells_each_decision_and_who_is_in_production(tmp_path: Path) -> None:
    made = ledger(tmp_path)
    lines = as_table("shop", made.entries(), made.state()).split("\n")
    assert lines[2].split()[:6] == ["1", "2024-03-01", "00:00", "register", "shop@1", "ann"]
    assert [line.split()[3] for line in lines[2:6]] == ["register", "promote", "register", "promote"]
    assert lines[-1] == "shop@2 is in production since 2024-03-02 00:00 UTC." and "\x1b" not in "".join(lines)


def test_after_a_rollback_the_pause_is_told(tmp_path: Path) -> None:
    made = ledger(tmp_path)
    moment = datetime(2024, 3, 5, tzinfo=UTC)
    promotion.rollback(made, None, "bob", "complaints", now=moment, prove=lambda version: None)
    text = as_table("shop", made.entries(), made.state())
    assert "shop@1 is in production" in text and "promotion is paused since the rollback" in text


def test_json_is_an_entry_a_line_as_it_is_stored(tmp_path: Path) -> None:
    made = ledger(tmp_path)
    parsed = [json.loads(line) for line in as_json(made.entries()).split("\n")]
    assert [p["number"] for p in parsed] == [1, 2, 3, 4] and parsed[1]["kind"] == "promote"
    assert [p["hash"] for p in parsed] == [e.hash for e in made.entries()]
