"""The probe `fairness`: whether groups are treated alike, and what of that could not be tested."""

from mlpipe.core.fairness import fairness
from mlpipe.records.codec import coerce
from mlpipe.stages.judging.slices import known
from mlpipe.stages.judging.subject import Probed, Subject


def probe(subject: Subject) -> Probed:
    """Rates by group and measures of disparity, for each declared set of columns.

    Raises
    ------
    DataError
        A declared column is neither a key nor a feature, or a reference group has too few rows.
    """
    asked, scored = subject.spec.fairness, subject.scored
    by = () if asked is None else asked.by
    known(subject, by, "fairness")
    if asked is None or scored.task != "binary" or scored.threshold is None:
        why = (
            "no column is declared" if asked is None else f"a {scored.task} model has no rates of two classes"
        )
        untested = [{"column": ", ".join(columns), "why": why} for columns in by] or [
            {"column": "", "why": why}
        ]
        facts = {"columns": {}, "not_tested": untested}
        return Probed(facts, facts, notes=(f"fairness was not tested: {why}",))
    found = fairness(
        subject.rows,
        by,
        scored,
        subject.blocks,
        references=asked.reference,
        min_support=asked.min_support,
        seed=subject.seed,
    )
    facts = coerce(found.to_dict())
    notes = tuple(
        f"fairness by {u['column']}{', ' + u['group'] if u.get('group') else ''} was not tested: {u['why']}"
        for u in facts["not_tested"][:3]
    )
    return Probed(facts, facts, notes=notes)
