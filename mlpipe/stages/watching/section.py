"""What one look at a day gives to its record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlpipe.records.record import Found, Input, MetricValue, Output


@dataclass(frozen=True)
class Section:
    """A part of a monitor's record.

    Attributes
    ----------
    metrics, findings, outputs
        As in the record.
    data, head
        Facts, by names that no other section uses. What stands in `head` travels in the event: small, and None where unknown.
    sentence
        Markdown for the headline, without a full stop; empty when there is nothing to say.
    inputs
        What was read beside the inputs of the plan.
    """

    metrics: tuple[MetricValue, ...] = ()
    findings: tuple[Found, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    head: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    sentence: str = ""
    inputs: tuple[Input, ...] = ()
