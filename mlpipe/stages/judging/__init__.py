"""Probes: each looks at one judged model in one way, and gives the facts that gates decide on."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType

from mlpipe.stages.judging.subject import Probed, Subject

_ALONE = (
    "slices",
    "fairness",
    "calibration",
    "behaviour",
    "robustness",
    "resources",
    "leakage",
    "explanation",
    "golden",
    "reproduction",
)
PROBES: Mapping[str, str] = MappingProxyType(
    {
        **{name: f"mlpipe.stages.judging.{name}:probe" for name in _ALONE},
        "lineage": "mlpipe.stages.judging.papers:lineage",
        "documentation": "mlpipe.stages.judging.papers:documentation",
    }
)
"""Module and function of each probe, by name; imported when it is asked for."""


def probed(subject: Subject, names: Iterable[str]) -> dict[str, Probed]:
    """What the probes of some names find about a model, each asked once, in the order of `PROBES`; what was measured before stands.

    Raises
    ------
    KeyError
        There is no such probe: names come from code.
    MlpipeError
        What a probe raises: a test that cannot be made as declared.
    """
    asked = set(names)
    unknown = asked - PROBES.keys()
    if unknown:
        raise KeyError(f"no probe is called {', '.join(sorted(unknown))}")
    found, before = {}, subject.ctx.measured
    for name, place in PROBES.items():
        if name in asked and name in before:
            found[name] = Probed(before[name], before[name])
        elif name in asked:
            module, _, function = place.partition(":")
            found[name] = getattr(import_module(module), function)(subject)
    return found
