"""What was found on the way: who is listened to, and how much is told."""

from mlpipe.orchestration.runtime import Progress
from mlpipe.records.record import Found
from mlpipe.views.findings import Findings


def step(asset: str, key: str, verdict: str, *found: Found) -> Progress:
    return Progress(f"shop/{asset}", 1, 1, "", key, verdict, found)


def test_what_stops_or_changes_something_is_told_with_its_partitions() -> None:
    made = Findings()
    broken = Found(what="3 of 9 rows break 'order unique'", where="source rows")
    made.listen(step("validated", "2024-01-01", "pass", broken))
    made.listen(step("validated", "2024-01-02", "fail", broken))
    made.listen(step("features", "2024-01-02", "left_out", Found(what="it is left out")))
    for key in ("2024-01-03", "2024-01-04", "2024-01-05"):
        made.listen(
            step("features", key, "pass", Found(what="1 value is infinite", fix="Mend\x1b the source."))
        )
    made.listen(step("evaluation", "2024-01-05", "pass", Found(what="few days")))
    made.listen(
        step("model", "2024-01-05", "refused", Found(what="one class"), Found(what="mixed", fix="Mend it."))
    )
    assert made.text().splitlines() == [
        "",
        "What was found:",
        "  - 2024-01-02, validated, source rows: 3 of 9 rows break 'order unique'.",
        "  - 2024-01-03 and 2 more, features, 1 value is infinite. Mend  the source.",
        "  - 2024-01-05, model, mixed. Mend it.",
    ]


def test_nothing_is_nothing_and_much_is_counted() -> None:
    made = Findings()
    assert made.text() == ""
    for n in range(14):
        made.listen(step("raw", f"2024-01-{n + 1:02}", "", Found(what=f"column {n} appeared")))
    lines = made.text().splitlines()
    assert len(lines) == 13 and lines[-1] == "  … and 4 more"
