"""Which columns an answer shows."""

from mlpipe.index.answer import shown_keys


def test_what_a_model_is_judged_by_is_shown_first() -> None:
    row = {
        "id": "rec-1",
        "metrics.brier": 0.1,
        "metrics.f1": 0.5,
        "metrics.log_loss": 0.4,
        "metrics.roc_auc": 0.7,
    }
    known = ("id", "partition", "started", "verdict")
    assert shown_keys((), [row]) == (*known, "metrics.brier", "metrics.f1", "metrics.log_loss")
    judged = {**row, "data.primary": "roc_auc"}
    assert shown_keys((), [judged]) == (*known, "metrics.roc_auc", "metrics.brier", "metrics.f1")
    trial = {**row, "data.judged.primary": "roc_auc"}
    assert shown_keys((), [trial]) == shown_keys((), [judged])
    assert shown_keys(("metrics.f1",), [judged])[4:6] == ("metrics.f1", "metrics.roc_auc")
