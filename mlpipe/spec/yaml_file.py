"""The YAML door: a file's mapping with the line of every key, read without tags, classes or alias bombs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mlpipe.errors import Finding, SpecError
from mlpipe.spec.build import build, normalise
from mlpipe.spec.importing import estimator_of, function_of, is_reference
from mlpipe.spec.pipeline import PipelineSpec

MAX_NODES = 100_000
FUNCTION_KEYS = {("label", "function"), ("features", "function"), ("model", "fit"), ("baseline",)}
Lines = dict[tuple[str | int, ...], int]


def read(text: str, file: str) -> list[tuple[Any, Lines]]:
    """Documents of a YAML text, each with the line (from 1) of every path of keys.

    Raises
    ------
    SpecError
        When the text is no YAML, asks for a Python object, repeats a key, or unfolds to more than 100,000 nodes.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark is not None else file
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SpecError(
            f"this is no valid YAML: {problem}",
            where=where,
            fix="Mend the line; indentation counts, and tabs are not allowed.",
        ) from None
    except RecursionError:
        raise SpecError(
            "this YAML is nested too deeply", where=file, fix="A pipeline needs no more than a few levels."
        ) from None
    return [_Reader(file).document(node) for node in nodes if node is not None]


class _Reader:
    def __init__(self, file: str) -> None:
        self.file, self.lines, self.count = file, {}, 0  # type: str, Lines, int

    def document(self, node: yaml.Node) -> tuple[Any, Lines]:
        return self._value(node, (), ()), self.lines

    def _fail(self, what: str, node: yaml.Node, fix: str) -> SpecError:
        return SpecError(what, where=f"{self.file}:{node.start_mark.line + 1}", fix=fix)

    def _value(self, node: yaml.Node, path: tuple[str | int, ...], above: tuple[int, ...]) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise self._fail(
                f"this YAML unfolds to more than {MAX_NODES:,} values", node, "Remove the nested aliases."
            )
        if id(node) in above:
            raise self._fail("this YAML holds an alias to itself", node, "Remove the alias.")
        self.lines[path] = node.start_mark.line + 1
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, i), above) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(
        self, node: yaml.MappingNode, path: tuple[str | int, ...], above: tuple[int, ...]
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fail("a key must be plain text", key_node, "Write the key as a word.")
            key = str(key_node.value)
            if key in out:
                raise self._fail(f"the key {key!r} stands twice", key_node, "Remove one of them.")
            out[key] = self._value(value_node, (*path, key), above)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
        return out

    def _scalar(self, node: yaml.Node) -> Any:
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise self._fail(
                f"the tag {node.tag!r} is not allowed",
                node,
                "Write a plain value; nothing is constructed from YAML.",
            )
        try:
            value = yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise self._fail(
                f"{node.value!r} cannot be read: {error}", node, "Put it in quotes to keep it as text."
            ) from None
        # A date stays the text that the user wrote: keys and bounds are compared as text.
        return node.value if type(value).__name__ in ("date", "datetime") else value


def build_mapping(
    settings: Mapping[str, Any],
    lines: Lines,
    *,
    file: str,
    prefix: tuple[str | int, ...] = (),
    deployment: str | None = None,
    base_dir: Path,
) -> PipelineSpec:
    """Specification from a mapping read by `read`; functions and estimators are found by name.

    Raises
    ------
    SpecError
        With every mistake, each with file and line.
    """

    def locate(path: tuple[str | int, ...]) -> str:
        for end in range(len(path), -1, -1):
            if (*prefix, *path[:end]) in lines:
                return f"{file}:{lines[(*prefix, *path[:end])]}"
        return file

    findings: list[Finding] = []
    resolved = _resolve(normalise(_named(dict(settings))), base_dir, locate, findings)
    try:
        spec = build(resolved, where=locate(()), deployment=deployment, base_dir=base_dir, locate=locate)
    except SpecError as error:
        raise SpecError(error.what, where=error.where, findings=_merge(findings, error.findings)) from None
    if findings:
        raise SpecError(
            f"pipeline {spec.name!r} names things that do not exist", where=locate(()), findings=findings
        )
    return spec


def _merge(first: list[Finding], rest: tuple[Finding, ...]) -> list[Finding]:
    """Findings of both, without a consequence of the first: a value that was not found is also reported as wrong."""
    places = {f.where for f in first}
    return first + [f for f in rest if f.where not in places]


def _named(settings: dict[str, Any]) -> dict[str, Any]:
    """``features: module:function`` and the like are functions, not columns."""
    for key in ("features", "label"):
        if is_reference(settings.get(key)):
            settings[key] = {"function": settings[key]}
    if is_reference(settings.get("model")):
        settings["model"] = {"fit": settings["model"]}
    return settings


def _resolve(
    settings: dict[str, Any], base_dir: Path, locate: Any, findings: list[Finding]
) -> dict[str, Any]:
    def attempt(path: tuple[str | int, ...], make: Any, value: Any) -> Any:
        try:
            return make(value)
        except ValueError as error:
            findings.append(Finding(str(error), f"{locate(path)}, key {'.'.join(map(str, path))}"))
            return value

    def find(value: Any) -> Any:
        return function_of(value, base_dir)

    def walk(value: Any, path: tuple[str | int, ...]) -> Any:
        named = (
            path in FUNCTION_KEYS
            or (len(path) == 3 and path[0] == "sources" and path[2] == "function")
            or path[-1:] == ("repair",)
        )
        if named and isinstance(value, str):
            return attempt(path, find, value)
        if path == ("model",) and isinstance(value, Mapping) and "class" in value:
            rest = {k: v for k, v in value.items() if k not in ("class", "params")}
            return {**rest, "estimator": attempt(path, estimator_of, value)}
        if isinstance(value, Mapping):
            return {k: walk(v, (*path, k)) for k, v in value.items()}
        return value

    return {k: walk(v, (k,)) for k, v in settings.items()}
