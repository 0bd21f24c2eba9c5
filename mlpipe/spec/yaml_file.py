"""The YAML door: a file's mapping with the line of every key, read without tags, classes or alias bombs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mlpipe.errors import Finding, NotFoundError, SpecError
from mlpipe.spec.build import build
from mlpipe.spec.forms import Report
from mlpipe.spec.importing import function_of, is_reference
from mlpipe.spec.modeling import Retrain
from mlpipe.spec.nodes import KeyPath
from mlpipe.spec.pipeline import PipelineSpec

MAX_NODES, MAX_DEPTH = 100_000, 50
_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}
FUNCTION_KEYS = {("label", "function"), ("features", "function"), ("model", "fit"), ("baseline",)}
Lines = dict[tuple[str | int, ...], int]


def decoded(raw: bytes, file: str) -> str:
    """Text of a YAML file, which is UTF-8.

    Raises
    ------
    SpecError
        When the bytes are of another encoding; with the line.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"this is no text in UTF-8: the byte 0x{raw[error.start]:02x} is not allowed",
            where=f"{file}:{line}",
            fix="Save the file as UTF-8.",
        ) from None


def composed(text: str, file: str) -> list[yaml.Node]:
    """Documents of a YAML text as nodes, of which nothing was made yet.

    Raises
    ------
    SpecError
        When the text is no YAML, or unfolds to more than 100,000 values.
    """
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(
            f"this is no valid YAML: the character {chr(error.character)!r} is not allowed",
            where=f"{file}:{line}",
            fix="Remove it.",
        ) from None
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
    found = [node for node in nodes if node is not None]
    for node in found:
        _bounded(node, file)
    return found


def _bounded(root: yaml.Node, file: str) -> None:
    """Raise where aliases unfold to too many values, or to no end; counted without unfolding them."""
    sizes: dict[int, int] = {}
    todo: list[tuple[yaml.Node, bool]] = [(root, False)]
    under_way: set[int] = set()
    while todo:
        node, done = todo.pop()
        children = [c for pair in node.value for c in pair] if isinstance(node, yaml.MappingNode) else []
        children = list(node.value) if isinstance(node, yaml.SequenceNode) else children
        if done:
            under_way.discard(id(node))
            sizes[id(node)] = min(1 + sum(sizes[id(c)] for c in children), MAX_NODES + 1)
            continue
        if id(node) in sizes:
            continue
        under_way.add(id(node))
        todo.append((node, True))
        for child in children:
            if id(child) in under_way:
                raise _failed("this YAML holds an alias to itself", node, file, "Remove the alias.")
            todo.append((child, False))
    if sizes[id(root)] > MAX_NODES:
        what = f"this YAML unfolds to more than {MAX_NODES:,} values"
        raise _failed(what, root, file, "Remove the nested aliases.")


def _failed(what: str, node: yaml.Node, file: str, fix: str) -> SpecError:
    return SpecError(what, where=f"{file}:{node.start_mark.line + 1}", fix=fix)


def read(text: str, file: str) -> list[tuple[Any, Lines]]:
    """Documents of a YAML text, each with the line (from 1) of every path of keys.

    Raises
    ------
    SpecError
        When the text is no YAML, asks for a Python object, repeats a key, is nested more than 50 levels deep, or unfolds to more
        than 100,000 values.
    """
    return [_Reader(file).document(node) for node in composed(text, file)]


class _Reader:
    def __init__(self, file: str) -> None:
        self.file, self.count = file, 0
        self.lines: Lines = {}
        self.construct = yaml.constructor.SafeConstructor()

    def document(self, node: yaml.Node) -> tuple[Any, Lines]:
        return self._value(node, (), ()), self.lines

    def _fail(self, what: str, node: yaml.Node, fix: str) -> SpecError:
        return _failed(what, node, self.file, fix)

    def _value(self, node: yaml.Node, path: KeyPath, above: tuple[int, ...]) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            raise self._fail(
                f"this YAML unfolds to more than {MAX_NODES:,} values", node, "Remove the nested aliases."
            )
        if id(node) in above:
            raise self._fail("this YAML holds an alias to itself", node, "Remove the alias.")
        if len(above) > MAX_DEPTH:
            raise self._fail(
                "this YAML is nested too deeply", node, "A pipeline needs no more than a few levels."
            )
        if node.tag not in _TAGS:
            raise self._fail(
                f"the tag {node.tag!r} is not allowed",
                node,
                "Write a plain value; nothing is constructed from YAML.",
            )
        self.lines[path] = node.start_mark.line + 1
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*path, i), above) for i, child in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, above: tuple[int, ...]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._fail("a key must be plain text", key_node, "Write the key as a word.")
            key = str(key_node.value)
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._fail("merge keys (<<) are not allowed", key_node, "Write the keys out.")
            if key in out:
                raise self._fail(f"the key {key!r} stands twice", key_node, "Remove one of them.")
            out[key] = self._value(value_node, (*path, key), above)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
        return out

    def _scalar(self, node: yaml.Node) -> Any:
        kind, text = node.tag.rpartition(":")[2], str(node.value)
        # Dates stay the text that the user wrote: keys and bounds are compared as text. So do the traps of YAML 1.1:
        # yes, no, on and off are words (the country code NO is one), and 12:30 is no number of minutes.
        if (
            kind in ("timestamp", "map", "seq")
            or (kind == "bool" and text.lower() not in ("true", "false"))
            or (kind in ("int", "float") and ":" in text)
        ):
            return text
        try:
            return self.construct.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError) as error:
            problem = getattr(error, "problem", None) or error
            raise self._fail(
                f"{text[:80]!r} cannot be read: {problem}", node, "Put it in quotes to keep it as text."
            ) from None


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

    def locate(path: KeyPath) -> str:
        for end in range(len(path), -1, -1):
            if (*prefix, *path[:end]) in lines:
                return f"{file}:{lines[(*prefix, *path[:end])]}"
        return file

    if not isinstance(settings, Mapping):
        raise SpecError(
            f"a pipeline must be a mapping of keys, got {type(settings).__name__}",
            where=locate(()),
            fix="Begin with 'name: …'.",
        )

    def resolve(plain: dict[str, Any], report: Report) -> dict[str, Any]:
        return resolved(plain, base_dir, report)

    named = _named(dict(settings))
    return build(
        named, where=locate(()), deployment=deployment, base_dir=base_dir, locate=locate, resolve=resolve
    )


def policy_file(path: Path) -> Retrain:
    """A retraining policy in a YAML file of its own: the keys of ``retrain``.

    Raises
    ------
    NotFoundError
        There is no such file.
    SpecError
        With every mistake, its line and key.
    """
    try:
        text = decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise NotFoundError(
            f"the policy cannot be read: {error.strerror}", where=str(path), fix="Name a YAML file."
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError(
            f"this is no text in UTF-8: {error.reason}", where=str(path), fix="Save the file as UTF-8."
        ) from None
    documents = read(text, str(path))
    if len(documents) != 1 or not isinstance(documents[0][0], dict):
        raise SpecError(
            "a policy is one mapping of the keys of 'retrain'", where=str(path), fix="Write 'every: week'."
        )
    settings, lines = documents[0]
    settings = settings["retrain"] if settings.keys() == {"retrain"} else settings
    try:
        return Retrain.model_validate(settings)
    except ValidationError as error:
        from mlpipe.spec.mistakes import mistakes  # it knows of every node, and so of this module

        findings = []
        for mistake in mistakes(error, Retrain):
            key = mistake.path
            above = ((*top, *key[:n]) for n in range(len(key), 0, -1) for top in ((), ("retrain",)))
            line = next((lines[place] for place in above if place in lines), 1)
            told = ".".join(map(str, key)) or "retrain"
            findings.append(Finding(mistake.text, where=f"{path}:{line}, key {told}"))
        raise SpecError("the policy is wrong", where=str(path), findings=tuple(findings)) from None


def _named(settings: dict[str, Any]) -> dict[str, Any]:
    """``features: module:function`` and the like are functions, not columns; in overlays too."""
    out = dict(settings)
    for key, name in (("features", "function"), ("label", "function"), ("model", "fit"), ("model", "class")):
        value = out.get(key)
        if isinstance(value, str) and is_reference(value) == (name != "class"):
            out[key] = {name: value}
    if isinstance(out.get("overlays"), dict):
        out["overlays"] = {k: _named(v) if isinstance(v, dict) else v for k, v in out["overlays"].items()}
    return out


def resolved(settings: dict[str, Any], base_dir: Path, report: Report) -> dict[str, Any]:
    """Settings in the long form with functions and estimators in the place of their names."""

    def walk(value: Any, path: KeyPath) -> Any:
        if isinstance(value, str) and _names_function(path):
            try:
                return function_of(value, base_dir)
            except ValueError as error:
                report(path, str(error))
                return value
        if isinstance(value, dict):
            return {k: walk(v, (*path, k)) for k, v in value.items()}
        if isinstance(value, list) and path[0] in _LISTS:
            return [walk(v, (*path, i)) for i, v in enumerate(value)]
        return value

    return {k: walk(v, (k,)) for k, v in settings.items()}


def _names_function(path: KeyPath) -> bool:
    return (
        path in FUNCTION_KEYS
        or (len(path) == 3 and path[0] == "sources" and path[2] == "function")
        or (len(path) == 4 and path[0] == "sources" and path[2:] == ("contract", "repair"))
        or (len(path) == 4 and path[:2] in _NAMED and path[3] == "function")
        or (len(path) == 3 and path[:2] == ("monitor", "business"))
        or (path[0] in _LISTS and path[-1] == "function")
    )


_NAMED = (("levels", "own"), ("monitor", "business"))
"""Keys of the long form whose entries name a function each."""
_LISTS = ("gates", "staging_gates", "own_metrics")
"""Keys of the long form whose entries may name a function."""
