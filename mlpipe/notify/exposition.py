"""Prometheus' text format, version 0.0.4: families of samples as lines.

Source: Prometheus, "Exposition formats" (https://prometheus.io/docs/instrumenting/exposition_formats/). Written by hand, for it is small: a
client's registry would hold what it was told last, where what is on record is what counts.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Sample:
    """A value under its labels; label values are any text."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """A gauge: its name, what it is in one sentence, and its samples.

    Raises
    ------
    ValueError
        A name that Prometheus does not take.
    """

    name: str
    help: str
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        wrong = [n for s in self.samples for n in s.labels if not LABEL.fullmatch(n) or n.startswith("__")]
        if not NAME.fullmatch(self.name) or wrong:
            raise ValueError(f"Prometheus takes no such name: {wrong[0] if wrong else self.name!r}")


def exposed(families: Iterable[Family]) -> str:
    """The families as text, those of the same name as one, without those that have no sample.

    Of samples with the same labels the last one counts: Prometheus refuses a text with two.
    """
    merged: dict[str, tuple[str, dict[tuple[tuple[str, str], ...], float]]] = {}
    for family in families:
        _, samples = merged.setdefault(family.name, (family.help, {}))
        samples.update({tuple(sample.labels.items()): sample.value for sample in family.samples})
    lines = []
    for name, (text, samples) in merged.items():
        if samples:
            lines += [f"# HELP {name} {_escaped(text)}", f"# TYPE {name} gauge"]
            lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples.items()]
    return "".join(f"{line}\n" for line in lines)


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    inner = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{inner}}}" if inner else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    # A carriage return and other signs may stand as they are; what is no UTF-8 may not.
    return _escaped(text).replace('"', '\\"').encode("utf-8", "replace").decode()


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
