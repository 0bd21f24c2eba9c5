"""One builder behind every door: what was written becomes a frozen `PipelineSpec`, or one error with every mistake."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from mlpipe.errors import Finding, SpecError
from mlpipe.spec.forms import ALIASES, Renames, Report, normalise, opened, written
from mlpipe.spec.importing import estimator_of
from mlpipe.spec.mistakes import Mistake, mistakes
from mlpipe.spec.nodes import KeyPath, choices, shown
from mlpipe.spec.partial import at, holds, partial
from mlpipe.spec.pipeline import Deployment, PipelineSpec

__all__ = ["ALIASES", "build"]

Locate = Callable[[KeyPath], str]
Resolve = Callable[[dict[str, Any], Report], dict[str, Any]]
_DEPLOYMENTS: tuple[str, ...] = get_args(Deployment)
_RIVALS = {
    "sources": ({"table", "query"},),
    "features": ({"columns", "function"},),
    "label": ({"column", "function"},),
    "model": ({"class", "params", "estimator", "fit"},),
}
"""Settings of a part of which an overlay that gives one takes the others out."""


@dataclass(frozen=True)
class _Form:
    """Settings in the long form, and the way back to what was written."""

    settings: dict[str, Any]
    renames: Renames
    prefix: KeyPath = ()

    def written(self, path: KeyPath) -> KeyPath:
        return (*self.prefix, *written(path, self.renames))

    def holds(self, path: KeyPath) -> bool:
        return holds(at(self.settings, path[:-1]), path[-1])


def build(
    settings: Mapping[str, Any],
    *,
    where: str = "",
    deployment: str | None = None,
    base_dir: Path | None = None,
    locate: Locate | None = None,
    resolve: Resolve | None = None,
) -> PipelineSpec:
    """Frozen specification of what was written.

    Parameters
    ----------
    settings
        Keys of `PipelineSpec`, with values as `Draft`, plain mappings, functions or estimators. Short forms are allowed: see `ALIASES` and
        `normalise`. `overlays` maps dev, stage or prod to settings that are laid over these there; all of them are checked.
    where
        File and line of the declaration, for errors.
    deployment
        Deployment whose overlay is applied; default: the setting `deployment`, else ``dev``.
    base_dir
        Folder that relative paths start from.
    locate
        File and line of a path of written keys (from YAML); default: the line of the nearest enclosing call.
    resolve
        Replaces names by functions and estimators, and reports those that do not exist.

    Raises
    ------
    SpecError
        With one finding for every mistake: file and line, key, what is wrong, valid values.
    """
    places: dict[KeyPath, str] = {}
    findings: dict[Finding, None] = {}

    def place(path: KeyPath) -> str:
        line = locate(path) if locate else _nearest(places, path, where)
        return ", ".join(x for x in (line, "key " + ".".join(map(_step, path)) if path else "") if x)

    def report(path: KeyPath, text: str) -> None:
        findings[Finding(text, place(path))] = None

    plain = opened(settings, places, report)
    overlays = _overlays(plain.pop("overlays", None), report)
    base = _Form(*normalise(plain, report))
    chosen = _chosen(deployment, base.settings, report)
    fixed = {"where": where} if base_dir is None else {"where": where, "base_dir": base_dir}
    spec = None
    for name in sorted({chosen, *overlays}, key=lambda n: n != chosen):
        over = overlays.get(name, _Form({}, {}))
        merged = {**fixed, **_merged(base.settings, over.settings), "deployment": name}
        made, wrong = _checked(merged, resolve)
        for mistake in wrong:
            path = _origin(mistake.path, base, over)
            known = (
                name == chosen or path[:1] == ("overlays",) or Finding(mistake.text, place(path)) in findings
            )
            report(path, mistake.text if known else f"{mistake.text} (in {name})")
        spec = made if name == chosen else spec
    if findings or spec is None:
        raise _error(plain.get("name"), where, list(findings))
    return spec


def _step(step: str | int) -> str:
    """A key as it is told; in quotes where it could not be seen or would break the line, cut where it is very long."""
    text = str(step)
    return text if text.strip() and text.isprintable() and len(text) <= 80 else shown(step)


def _chosen(deployment: str | None, settings: Mapping[str, Any], report: Report) -> str:
    """Deployment to build for; dev when the one that was asked for is unknown."""
    given = settings.get("deployment", "dev")
    if given not in _DEPLOYMENTS:
        report(("deployment",), f"unknown deployment {given!r}. {choices(str(given), _DEPLOYMENTS)}")
    if deployment and deployment not in _DEPLOYMENTS:
        text = f"unknown deployment {deployment!r} in MLPIPE_DEPLOYMENT. {choices(deployment, _DEPLOYMENTS)}"
        report((), text)
    return next((str(d) for d in (deployment, given) if d in _DEPLOYMENTS), "dev")


def _error(name: object, where: str, findings: list[Finding]) -> SpecError:
    title = f"pipeline {name!r}" if isinstance(name, str) else "the pipeline"
    count = "1 mistake" if len(findings) == 1 else f"{len(findings)} mistakes"
    return SpecError(f"{title} has {count}", where=where, findings=findings)


def _nearest(places: Mapping[KeyPath, str], path: KeyPath, where: str) -> str:
    for end in range(len(path), -1, -1):
        if path[:end] in places:
            return places[path[:end]]
    return where


def _overlays(value: Any, report: Report) -> dict[str, _Form]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        report(("overlays",), f"must map {', '.join(_DEPLOYMENTS)} to settings, got {shown(value)}")
        return {}
    found: dict[str, _Form] = {}
    for name, settings in value.items():
        prefix = ("overlays", name)
        if name not in _DEPLOYMENTS:
            report(prefix, f"unknown deployment {name!r}. {choices(str(name), _DEPLOYMENTS)}")
        elif not isinstance(settings, dict | None):
            report(prefix, f"must be a mapping of keys, got {shown(settings)}")
        else:
            found[name] = _Form(*normalise(settings or {}, _below(prefix, report)), prefix)
    return found


def _below(prefix: KeyPath, report: Report) -> Report:
    return lambda path, text: report((*prefix, *path), text)


def _merged(base: Any, over: Any, path: KeyPath = ()) -> Any:
    """`over` laid on `base`: mappings key by key, all else replaced. Another type of source, or model, displaces the old one."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    source = len(path) == 2 and path[0] == "sources"
    if source and over.get("type", base.get("type")) != base.get("type"):
        return over
    rivals = _RIVALS.get(str(path[0]), ()) if source or len(path) == 1 else ()
    gone = {k for group in rivals if (group - {"params"}) & set(over) for k in group}
    kept = {k: v for k, v in base.items() if k not in gone}
    return {**kept, **{k: _merged(kept.get(k), v, (*path, k)) for k, v in over.items()}}


def _checked(plain: dict[str, Any], resolve: Resolve | None) -> tuple[PipelineSpec | None, list[Mistake]]:
    """Specification, or None, and all mistakes: of names, of single values, and of parts seen together."""
    found: list[Mistake] = []

    def report(path: KeyPath, text: str) -> None:
        found.append(Mistake(path, text))

    plain = (
        _with_estimator(plain, report) if resolve is None else resolve(_with_estimator(plain, report), report)
    )
    unresolved = frozenset(m.path for m in found)
    spec: PipelineSpec | None = None
    try:
        spec = PipelineSpec.model_validate(plain)
        whole, tainted = spec, unresolved
    except ValidationError as error:
        wrong = mistakes(error)
        # A name that was not found is also no function; that is said once.
        found += [m for m in wrong if not any(m.path[: len(p)] == p for p in unresolved)]
        whole, tainted = partial(plain, wrong)
    found += [Mistake(path, text) for path, text in whole.problems(tainted | unresolved)]
    return spec, found


def _with_estimator(plain: dict[str, Any], report: Report) -> dict[str, Any]:
    """Settings with an estimator in the place of its class and parameters, where they can be had."""
    model = plain.get("model")
    if not isinstance(model, dict) or "class" not in model:
        return plain
    made = estimator_of(model, _below(("model",), report))
    rest = {k: v for k, v in model.items() if k not in ("class", "params")}
    return plain if made is None else {**plain, "model": {**rest, "estimator": made}}


def _origin(path: KeyPath, base: _Form, over: _Form) -> KeyPath:
    """Where the value at a path was written: in the overlay when it, or its nearest holder, stands only there."""
    for end in range(len(path), 0, -1):
        if over.holds(path[:end]) and (end == len(path) or not base.holds(path[:end])):
            return over.written(path)
        if base.holds(path[:end]):
            break
    return base.written(path)
