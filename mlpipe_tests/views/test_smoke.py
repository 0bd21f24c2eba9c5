"""The report of a smoke test, for people and for machines."""

import json
from typing import Any

from mlpipe.views.smoke import as_json, as_text


def check(
    name: str, status: str = "ok", sentence: str = "fine.", findings: Any = (), seconds: float = 0.04
) -> Any:
    return {
        "name": name,
        "status": status,
        "sentence": sentence,
        "findings": list(findings),
        "seconds": seconds,
    }


def test_a_line_a_check_and_what_it_comes_to() -> None:
    checks = [check("sources", seconds=1.26), check("loss curve", "not applicable", "there is none.")]
    lines = as_text("shop", checks).splitlines()
    assert lines[0].split() == ["shop", "result", "what", "was", "seen", "took"]
    assert lines[2].split() == ["sources", "ok", "fine.", "1.3", "s"]
    assert "not applicable" in lines[3] and "there is none." in lines[3]
    assert lines[-1] == "shop is good. 1 s."


def test_what_failed_is_named_with_its_findings_ten_at_most() -> None:
    many = [f"finding {i}\x1b[2J" for i in range(12)]
    checks = [
        check("contract", "warning", "one day.", ["2024-01-03: bad"]),
        check("bundle", "failed", "no.", many),
    ]
    text = as_text("shop", checks)
    assert "bundle      FAILED" in " ".join(text.split("  ")) or "FAILED" in text
    assert "contract:\n  - 2024-01-03: bad" in text
    assert "  - finding 9 [2J\n  … and 2 more" in text and "finding 10" not in text and "\x1b" not in text
    assert text.splitlines()[-1] == "shop failed: bundle; look at contract. 0 s."
    assert as_text("shop", checks[:1]).splitlines()[-1] == "shop is good; look at contract. 0 s."


def test_json_is_one_line_with_everything() -> None:
    checks = [check("sources"), check("bundle", "failed", "no\nway", [f"f{i}" for i in range(12)])]
    line = as_json("shop", checks)
    assert "\n" not in line
    body = json.loads(line)
    assert body == {"pipeline": "shop", "passed": False, "checks": checks}
    assert json.loads(as_json("shop", checks[:1]))["passed"] is True
    assert (
        json.loads(as_json("shop", [check("a", "warning"), check("b", "not applicable")]))["passed"] is True
    )
