"""The probe `calibration`: whether probabilities are shares."""

from dataclasses import asdict

from mlpipe.core.calibration import calibration
from mlpipe.records.codec import coerce
from mlpipe.stages.judging.subject import Probed, Subject


def probe(subject: Subject) -> Probed:
    """Expected calibration error with its interval, slope and intercept; of a regression, which has no probabilities, nothing."""
    if subject.scored.task == "regression":
        facts = {"ece": None, "why": "a regression has no probabilities"}
        return Probed(facts, facts)
    spec = subject.spec
    found = calibration(subject.scored, subject.blocks, resamples=spec.bootstrap, seed=subject.seed)
    facts = coerce(found.to_dict() if hasattr(found, "to_dict") else asdict(found))
    return Probed(facts, facts)
