"""Part of a specification in a YAML file of its own, laid over a pipeline: other gates, or another contract, to try on the past."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mlpipe.errors import Finding, NotFoundError, SpecError
from mlpipe.spec.forms import Renames, normalise, written
from mlpipe.spec.importing import function_of
from mlpipe.spec.mistakes import Mistake, mistakes
from mlpipe.spec.nodes import KeyPath, choices
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.sources import Contract
from mlpipe.spec.yaml_file import Lines, decoded, read, resolved

JUDGING = frozenset(
    {
        *("gates", "staging_gates", "metrics", "own_metrics", "cost", "slices", "fairness", "behaviour"),
        *("robustness", "resources", "leakage", "golden", "explain", "bootstrap", "blocks", "min_tenure"),
    }
)
"""Keys of a pipeline that decide about a model that is trained already."""
NOT_TRIED = {
    "levels": "is about days as they were watched; a trial judges candidates again, and watches no day again",
}
"""Keys that decide about releases too, and why they are not tried on the past."""
Place = Callable[[KeyPath], str]


def judged_by(spec: PipelineSpec, path: Path) -> PipelineSpec:
    """The pipeline with what decides about its models from a file: keys such as ``gates`` and ``metrics``.

    Raises
    ------
    NotFoundError
        There is no such file.
    SpecError
        With every mistake, its line and key; also for a key that decides something else than this.
    """
    settings, lines = _mapping(path, "a policy is one mapping of keys such as 'gates'")
    known = sorted(JUDGING & PipelineSpec.model_fields.keys())
    found: list[Mistake] = []
    for key in [k for k in settings if k not in known]:
        of_pipeline = key in PipelineSpec.model_fields
        why = "decides nothing about a trained model" if of_pipeline else "is no key of a pipeline"
        why = NOT_TRIED.get(key, why)
        found.append(Mistake((key,), f"{key!r} {why}. {choices(key, known)}"))
        del settings[key]

    def report(key: KeyPath, text: str) -> None:
        found.append(Mistake(key, text))

    given, renames = normalise(settings, report)
    given = resolved(given, spec.base_dir, report)
    return _checked(spec, given, path, _placed(path, lines, renames), found)


def contracted_by(spec: PipelineSpec, path: Path) -> PipelineSpec:
    """The pipeline with other contracts from a file.

    The file holds the keys of ``contract`` of the primary source, or ``sources`` with the ``contract`` of each that changes.

    Raises
    ------
    NotFoundError, SpecError
        As `judged_by`.
    """
    settings, lines = _mapping(path, "a contract is one mapping of keys such as 'columns'")
    found: list[Mistake] = []
    inside: KeyPath = ()
    if settings.keys() == {"sources"} and isinstance(settings["sources"], dict):
        contracts = _named(spec, settings["sources"], found)
    else:
        inside = ("sources", spec.primary, "contract")
        contracts = {spec.primary: settings["contract"] if settings.keys() == {"contract"} else settings}
        lines = {(*inside, *(k[1:] if k[:1] == ("contract",) else k)): v for k, v in lines.items()}
    sources: dict[str, Any] = dict(spec.sources)
    for name, contract in contracts.items():
        where: KeyPath = ("sources", name, "contract")
        made = _contract(contract, where, spec.base_dir, found)
        if made is not None:
            sources[name] = sources[name].model_copy(update={"contract": made})
    return _checked(spec, {"sources": sources}, path, _placed(path, lines, {}, inside), found)


def _named(spec: PipelineSpec, given: Mapping[str, Any], found: list[Mistake]) -> dict[str, Any]:
    """Contracts by source; what else stands there is a mistake."""
    out = {}
    for name, source in given.items():
        if name not in spec.sources:
            found.append(
                Mistake(("sources", name), f"unknown source {name!r}. {choices(name, list(spec.sources))}")
            )
        elif not isinstance(source, dict) or source.keys() != {"contract"}:
            found.append(Mistake(("sources", name), "a source has the key 'contract' here, and no other"))
        else:
            out[name] = source["contract"]
    return out


def _contract(given: Any, where: KeyPath, base_dir: Path, found: list[Mistake]) -> Contract | None:
    if isinstance(given, dict) and isinstance(given.get("repair"), str):
        try:
            given = {**given, "repair": function_of(given["repair"], base_dir)}
        except ValueError as error:
            found.append(Mistake((*where, "repair"), str(error)))
            return None
    try:
        return Contract.model_validate(given)
    except ValidationError as error:
        found += [Mistake((*where, *m.path), m.text) for m in mistakes(error, Contract)]
        return None


def _mapping(path: Path, what: str) -> tuple[dict[str, Any], Lines]:
    try:
        text = decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise NotFoundError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="Name a YAML file."
        ) from None
    documents = read(text, str(path))
    if len(documents) != 1 or not isinstance(documents[0][0], dict):
        raise SpecError(what, where=str(path), fix="Write the keys as in the pipeline's own file.")
    return documents[0]


def _placed(path: Path, lines: Lines, renames: Renames, hidden: KeyPath = ()) -> Place:
    """File, line and key of a path in the long form. `hidden`: what the file leaves out at the beginning."""

    def place(key: KeyPath) -> str:
        here = written(key, renames)
        line = next((lines[here[:n]] for n in range(len(here), 0, -1) if here[:n] in lines), 1)
        told = ".".join(map(str, here[len(hidden) :] if here[: len(hidden)] == hidden else here))
        return f"{path}:{line}" + (f", key {told}" if told else "")

    return place


def _checked(
    spec: PipelineSpec, given: Mapping[str, Any], path: Path, place: Place, found: Sequence[Mistake]
) -> PipelineSpec:
    """The pipeline with some of its keys replaced, once nothing is wrong with them."""
    wrong, made = list(found), spec
    try:
        made = PipelineSpec.model_validate(
            {**{n: getattr(spec, n) for n in PipelineSpec.model_fields}, **given}
        )
        wrong += [Mistake(key, text) for key, text in made.problems() if key[:1] and key[0] in given]
    except ValidationError as error:
        # A name that was not found is also no function; that is said once.
        told = [m.path for m in found]
        wrong += [m for m in mistakes(error) if not any(m.path[: len(t)] == t for t in told)]
    if wrong:
        count = "1 mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
        findings = tuple(dict.fromkeys(Finding(m.text, where=place(m.path)) for m in wrong))
        raise SpecError(f"{path.name} has {count}", where=str(path), findings=findings)
    return made
