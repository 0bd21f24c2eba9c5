"""Variants of a pipeline: settings by the dotted names of its records, changed for a trial, each checked before anything runs."""

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from mlpipe.errors import Finding, MlpipeError, SpecError, did_you_mean
from mlpipe.spec.mistakes import mistakes
from mlpipe.spec.modeling import Model, Split
from mlpipe.spec.pipeline import PipelineSpec

MOST = 1000
"""At most this many variants at once: more are a mistake in the command, sooner than a wish."""
EXCLUDE = "features.exclude"
PLAIN = ("window", "threshold", "min_coverage", "min_rows", "seed")
SPLIT = ("valid", "test", "embargo", "kind", "folds", "by", "train")
LENGTHS = ("valid", "test", "embargo", "train")
_NESTS = ("steps", "transformers", "estimators", "transformer_list", "params")
"""Parts of a path in a record's parameters that scikit-learn's own names leave out."""


@dataclass(frozen=True)
class Variant:
    """One variant: what is changed, by dotted name; the specification with that; and the features that it does without."""

    changes: dict[str, Any]
    spec: PipelineSpec
    excluded: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The changes in one line."""
        return ", ".join(f"{k}={shown(v)}" for k, v in self.changes.items()) or "nothing changed"


def shown(value: Any) -> str:
    """A value as it is written in a change."""
    return f"[{','.join(map(str, value))}]" if isinstance(value, (list, tuple)) else str(value)


def parsed(text: str) -> tuple[str, list[Any]]:
    """Name and values of ``name=value,value``; a value in brackets is a list.

    Raises
    ------
    SpecError
        When there is no name or no value.
    """
    name, equals, rest = text.partition("=")
    if not name.strip() or not equals or not rest.strip():
        raise SpecError(
            f"{text!r} changes nothing",
            where="--set",
            fix="Write a name and its values: --set model.learning_rate=0.05,0.1",
        )
    return name.strip(), [_value(part) for part in _split(rest)]


def _split(text: str) -> Iterator[str]:
    """Parts between commas that lie outside of brackets."""
    depth, start = 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "[(") - (sign in "])")
        if sign == "," and depth == 0:
            yield text[start:at].strip()
            start = at + 1
    yield text[start:].strip()


def _value(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return [_value(part) for part in _split(text[1:-1]) if part]
    words = {"true": True, "false": False, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, (int, float, str, tuple)) else text


def settable(spec: PipelineSpec) -> dict[str, str]:
    """Every name that may be changed, and the name of the parameter behind it (of a model's; else the name itself)."""
    model = spec.model
    own = (
        model.params if model.estimator is None else {**model.estimator.get_params(deep=True), **model.params}
    )
    names = {"model." + name.replace("__", "."): name for name in own}
    others = [EXCLUDE, *PLAIN, *(f"split.{n}" for n in SPLIT), "preprocess.kind"]
    return {**names, **{n: n for n in others if n not in _idle(spec)}}


def _idle(spec: PipelineSpec) -> set[str]:
    """Settings that change nothing in this pipeline: what may be given is never ignored."""
    idle: set[str] = set()
    if spec.partitions.every == "none":
        # There is no window, and rows are split by shares.
        idle |= {"window", *(f"split.{n}" for n in LENGTHS)}
    if spec.model.estimator is None or hasattr(spec.model.estimator, "steps"):
        # A function, or a pipeline of the user's own, prepares its columns itself.
        idle |= {"preprocess.kind"}
    if spec.known_task is not None and "binary" not in spec.known_task:
        idle |= {"threshold"}
    return idle


def variants(
    spec: PipelineSpec, given: Mapping[str, Sequence[Any]], features: Sequence[str] = ()
) -> list[Variant]:
    """The product of all values, each variant checked as a declaration is.

    Parameters
    ----------
    given
        Values by name: ``model.<parameter>``, ``features.exclude``, ``window``, ``split.valid`` and the like. The last parts of a name
        will do where they are unambiguous.
    features
        Names of the features, where they are known.

    Raises
    ------
    SpecError
        With every mistake: unknown names and close ones, values that are wrong, variants that do not fit together.
    """
    known, wrong = settable(spec), []
    named: dict[str, list[Any]] = {}
    for name, values in given.items():
        try:
            full = _resolved(name, known)
        except SpecError as error:
            wrong.append(Finding(error.what, f"--set {name}", error.fix))
            continue
        if full in named or not values:
            wrong.append(Finding("is given twice" if full in named else "has no value", f"--set {name}"))
        named[full] = list(values)
    for name, values in named.items():
        for value in values:
            wrong += _problems(spec, {name: value}, known, features)
    count = math.prod(len(v) for v in named.values())
    if count > MOST:
        wrong.append(Finding(f"these are {count:,} variants; at most {MOST:,} are tried at once", "--set"))
    combos = [] if wrong else [dict(zip(named, values, strict=True)) for values in product(*named.values())]
    for changes in combos if len(named) > 1 else ():
        wrong += _problems(spec, changes, known, features)
    if wrong:
        many = "1 mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
        raise SpecError(
            f"the variants of pipeline {spec.name!r} have {many}", findings=list(dict.fromkeys(wrong))
        )
    return [Variant(c, changed(spec, c, known), excluded_by(c)) for c in combos]


def excluded_by(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Features that changes leave out."""
    value = changes.get(EXCLUDE, ())
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


def changed(
    spec: PipelineSpec, changes: Mapping[str, Any], known: Mapping[str, str] | None = None
) -> PipelineSpec:
    """The specification with changes, by full names.

    Raises
    ------
    ValidationError
        When a value is not allowed.
    """
    behind = settable(spec) if known is None else known
    out: dict[str, Any] = {n: changes[n] for n in PLAIN if n in changes}
    split = {n: changes[f"split.{n}"] for n in SPLIT if f"split.{n}" in changes}
    if split:
        out["split"] = Split(**{**{n: getattr(spec.split, n) for n in SPLIT}, **split})
    params = {behind[n]: v for n, v in changes.items() if n.startswith("model.")}
    kind = {"preprocess": changes["preprocess.kind"]} if "preprocess.kind" in changes else {}
    if params or kind:
        fields = {n: getattr(spec.model, n) for n in Model.model_fields}
        out["model"] = Model(**{**fields, **kind, "params": {**spec.model.params, **params}})
    gone = excluded_by(changes)
    if gone:
        missing = {n: how for n, how in spec.features.missing.items() if n not in gone}
        # The user's own rule may need what is left out: without it the variant is judged beside the constant alone.
        out |= {"features": spec.features.model_copy(update={"missing": missing}), "baseline": None}
        out["gates"] = tuple(g for g in spec.gates if g.params.get("baseline") != "rule")
    return PipelineSpec.model_validate({n: getattr(spec, n) for n in PipelineSpec.model_fields} | out)


def _resolved(name: str, known: Mapping[str, str]) -> str:
    """Full name of what may be changed: itself, or the only one that ends like it.

    Raises
    ------
    SpecError
        When it is unknown, or ambiguous.
    """
    plain = name.removeprefix("params.")
    short = ".".join(p for p in plain.split(".") if p not in _NESTS)
    for candidate in (plain, short):
        if candidate in known:
            return candidate
    ending = [k for k in known if k.endswith(f".{short}")]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise SpecError("is ambiguous", fix=f"Write one of {', '.join(sorted(ending))}.")
    raise SpecError("is no parameter of this pipeline.", fix=did_you_mean(plain, sorted(known)))


def _problems(
    spec: PipelineSpec, changes: Mapping[str, Any], known: Mapping[str, str], features: Sequence[str]
) -> Iterator[Finding]:
    where = "--set " + ", ".join(f"{n}={shown(v)}" for n, v in changes.items())
    gone = excluded_by(changes)
    for name in gone if features else ():
        if name not in features:
            yield Finding(f"there is no feature {name!r}.", where, did_you_mean(name, list(features)))
    if features and not set(features) - set(gone):
        yield Finding("no feature would be left to learn from", where)
    try:
        made = changed(spec, changes, known)
    except ValidationError as error:
        for mistake in mistakes(error):
            yield Finding(mistake.text, where)
        return
    except MlpipeError as error:
        yield Finding(error.what, where, error.fix)
        return
    for _, text in made.problems():
        yield Finding(text, where)
    yield from _refused(made, where)


def _refused(spec: PipelineSpec, where: str) -> Iterator[Finding]:
    """What the estimator itself says of its parameters, where it can be asked before it learns."""
    if spec.model.estimator is None:
        return
    from sklearn.base import clone

    estimator = clone(spec.model.estimator).set_params(**spec.model.params)
    for part in (estimator, *estimator.get_params(deep=True).values()):
        if hasattr(part, "_validate_params") and not isinstance(part, type):
            try:
                part._validate_params()
            except ValueError as error:
                yield Finding(str(error).splitlines()[0], where)
