"""Policies side by side as text, Markdown, SVG and a page: what is told, and that nothing in it is taken for markup."""

import xml.etree.ElementTree as ET
from copy import deepcopy
from typing import Any

from mlpipe.views.policies import as_html, as_markdown, as_svg, as_text, summary

EVIL = "<script>alert(1)</script>"


def asked(n: int, outcome: str, **more: Any) -> dict[str, Any]:
    return {
        "partition": f"2024-03-{n:02d}",
        "at": f"2024-03-{n + 1:02d}T03:00:00+00:00",
        "cause": "drift",
        "reason": "PSI of a is 1",
        "outcome": outcome,
        "version": n if outcome in ("promoted", "refused") else None,
        "why": "" if outcome == "promoted" else "no better",
        "seconds": 61.0,
        **more,
    }


def policy(name: str, values: list[float | None], worse: float, **more: Any) -> dict[str, Any]:
    known = [v for v in values if v is not None]
    return {
        "name": name,
        "assumes": "",
        "chain": f"policy-{name}",
        "retrains": 2,
        "causes": {"drift": 1, "first": 1},
        "promoted": 1,
        "refused": 1,
        "no_model": 0,
        "failed": 0,
        "seconds": 122.0,
        "value": 0.7 - worse,
        "days": len(known),
        "mean": sum(known) / len(known),
        "regret_model": 0.03,
        "regret_policy": worse,
        "against": {"difference": -worse, "low": -worse - 0.01, "high": -worse + 0.01},
        "failed_nights": [],
        "asked": [asked(1, "promoted"), asked(9, "refused")],
        "timeline": [
            {
                "day": f"2024-03-{n + 2:02d}",
                "at": f"2024-03-{n + 3:02d}T02:00:00+00:00",
                "version": 1 + n // 10,
                "value": v,
            }
            for n, v in enumerate(values)
        ],
        **more,
    }


def tried(*policies: dict[str, Any], **more: Any) -> dict[str, Any]:
    ranked = sorted(policies, key=lambda p: p["regret_policy"])
    return {
        "pipeline": "shop",
        "metric": "roc_auc",
        "better": "higher",
        "stretch": ["2024-03-01", "2024-03-28"],
        "unit": "day",
        "nights": 28,
        "days": 20,
        "rows": 12_345,
        "models": 3,
        "ranked": [p["name"] for p in ranked],
        "hindsight": 0.75,
        "policies": list(policies),
        **more,
    }


BEST = policy("weekly", [0.7] * 20, 0.0)
NEVER = policy("never", [0.6, None] * 10, 0.05, retrains=1, causes={"first": 1}, assumes="asks once")
CLOSE = policy("drift", [0.69] * 20, 0.004)


def test_it_says_which_policy_does_best_and_whether_that_is_more_than_noise() -> None:
    first, second, third = summary(tried(NEVER, CLOSE, BEST))
    assert first == (
        "shop: 3 policies lived through 28 nights, 2024-03-01 to 2024-03-28; ROC AUC (higher is better) over 12,345 rows of 20 days."
    )
    assert second == (
        "weekly does best with 0.7000; better than drift by 0.0040 (-0.0060 to 0.0140, within noise); "
        "better than never by 0.0500 (0.0400 to 0.0600, beyond noise)."
    )
    assert (
        "the best of 3 models" in third
        and "for each day after the fact would have a mean of 0.7500." in third
    )
    same = summary(tried(NEVER, policy("daily", [0.7] * 20, 0.0), BEST))[1]
    assert same.startswith("daily and weekly do best with 0.7000; better than never by 0.0500")
    assert summary(tried(NEVER, ranked=["never"]))[1] == "never does best with 0.6500."
    assert "nothing to compare" in summary(tried(NEVER, ranked=[], hindsight=None))[-1]


def test_the_table_stands_in_the_order_of_what_came_of_it() -> None:
    lines = as_text(tried(NEVER, CLOSE, BEST)).splitlines()
    rows = [line.split()[0] for line in lines[6:9]]
    assert rows == ["weekly", "drift", "never"]
    assert lines[6].split() == [
        "weekly",
        "2",
        "1",
        "1",
        "drift,",
        "1",
        "first",
        "2.0",
        "0.7000",
        "0.7000",
        "0.0300",
        "0.0000",
    ]
    assert lines[-1] == "never: asks once."
    hourly = as_text(tried(NEVER, unit="hour"))
    assert "lived through 28 hours" in hourly and "of 20 hours." in hourly and "mean of hours" in hourly
    failed = policy("odd", [0.5], 0.2, failed=1, no_model=2, failed_nights=["2024-03-04"])
    text = as_text(tried(BEST, failed))
    assert "odd: 1 training failed." in text and "odd: 2 trainings learned nothing." in text
    assert "odd: 1 night failed, the first 2024-03-04." in text
    table = as_markdown(tried(NEVER, BEST)).splitlines()
    assert (
        table[0].startswith("| policy | trainings |")
        and table[1].startswith("| --- | --: |")
        and len(table) == 4
    )


def test_the_picture_has_a_line_and_a_lane_for_each() -> None:
    drawn = ET.fromstring(as_svg(tried(NEVER, CLOSE, BEST)))
    texts = [e.text for e in drawn.iter() if e.tag.endswith("text")]
    assert texts.count("▲") == 3 and texts.count("×") == 3
    assert {"never", "drift", "weekly"} <= set(texts) and "2 trainings, 1 promoted" in texts
    lines = [e for e in drawn.iter() if e.tag.endswith("path")]
    assert len(lines) == 3 and len({(e.get("stroke"), e.get("stroke-dasharray")) for e in lines}) == 3
    bands = [e for e in drawn.iter() if e.tag.endswith("rect")]
    assert len(bands) == 1 + 3 * 2, "two versions each"
    many = [policy(f"p{n}", [0.5] * 20, n / 100) for n in range(24)]
    ET.fromstring(as_svg(tried(*many)))
    nothing = tried(policy("never", [0.6], 0.0, asked=[], timeline=[]), ranked=[], days=0)
    ET.fromstring(as_svg(nothing))


def test_nothing_that_a_stranger_wrote_is_markup() -> None:
    evil = deepcopy(BEST)
    evil |= {"assumes": EVIL, "asked": [asked(1, "refused", reason=EVIL, why=EVIL)]}
    found = tried(evil, NEVER, pipeline=EVIL, metric=EVIL)
    for text in (as_html(found), as_svg(found)):
        assert "<script>alert" not in text
    page = as_html(found)
    assert "&lt;script&gt;" in page and "https://" not in page
