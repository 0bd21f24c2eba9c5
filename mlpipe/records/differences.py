"""What differs between what a record says of its surroundings and how they are now: versions, kernels, threads, code, parameters."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlpipe.records.capture import RESULT_PACKAGES
from mlpipe.records.codec import coerce
from mlpipe.records.record import Code, Environment

PEOPLES = ("id", "lock", "installed", "host")
"""Fields of an environment that say nothing about results, or repeat what others say."""
FILE_MODULE = re.compile(r"^mlpipe_user_\w*\.")
"""Name of the module that a file beside a YAML declaration is loaded as."""
DECISIVE = ("python", "cpu", "blas", "gpu", "cuda")
"""Fields of an environment that may change the bits of a result, beside packages, threads and flags."""


@dataclass(frozen=True)
class Difference:
    """One thing that was otherwise: its name, how it was then and is now (empty: not at all), and whether it may change a result."""

    name: str
    then: str
    now: str
    decisive: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for views and machines."""
        return {"name": self.name, "then": self.then, "now": self.now, "decisive": self.decisive}


def of_environment(then: Environment, now: Environment) -> list[Difference]:
    """Differences of two environments, those that may change a result first."""
    old, new = _flat(then), _flat(now)
    found = [
        Difference(name, old.get(name, ""), new.get(name, ""), _decides(name))
        for name in sorted({*old, *new})
        if old.get(name, "") != new.get(name, "")
    ]
    return sorted(found, key=lambda d: (not d.decisive, d.name))


def of_code(then: Code, now: Code) -> list[Difference]:
    """Differences of code: of the user's functions by fingerprint, the stage's version, and mlpipe's."""
    old, new = (_by_name(c.fingerprints) for c in (then, now))
    found = [
        Difference(f"function {name}", old.get(name, "")[:12], new.get(name, "")[:12], True)
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]
    for name in ("stage_version", "mlpipe"):
        was, current = getattr(then, name), getattr(now, name)
        if was != current:
            found.append(Difference(name, was, current, True))
    return found


def of_params(
    then: Mapping[str, Any], now: Mapping[str, Any], without: tuple[str, ...] = ()
) -> list[Difference]:
    """Parameters of `then` that have another value in `now`, by their dotted names, but for those `without`, each with all below it.

    What only `now` has is newer than the record.
    """
    left_out = tuple(f"{name}." for name in without)
    old, new = (
        {name: value for name, value in leaves(side) if not f"{name}.".startswith(left_out)}
        for side in (then, coerce(now))
    )
    return [
        Difference(name, _text(old[name]), _text(new.get(name)), True)
        for name in sorted(old)
        if old[name] != new.get(name)
    ]


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of everything in a nested JSON value; elements of a list go by their number."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)) and value:
        for number, item in enumerate(value):
            yield from leaves(item, f"{prefix}.{number}" if prefix else str(number))
    else:
        yield prefix, value


def _by_name(fingerprints: Mapping[str, str]) -> dict[str, str]:
    """Fingerprints by name; a file that is no module bears the place where it lay, which says nothing."""
    return {FILE_MODULE.sub("", name): value for name, value in fingerprints.items()}


def _flat(environment: Environment) -> dict[str, str]:
    plain = environment.model_dump(mode="json", exclude=set(PEOPLES))
    return {name: str(value) for name, value in leaves(plain) if value not in ("", 0, {}, [], None)}


def _decides(name: str) -> bool:
    first, _, rest = name.partition(".")
    return first in ("threads", "flags", *DECISIVE) or (first == "packages" and rest in RESULT_PACKAGES)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
