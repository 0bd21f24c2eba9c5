"""The same model gives the same skops archive, in any process, at any time, with any number of threads.

skops names the members of its archive and the `__id__` of its nodes by memory address or at random, and stamps its
own version, scikit-learn's version and the clock. Here the archive is rewritten:

* Nodes are visited in stored order. An `__id__` that several nodes carry is numbered in that order, so a shared
  object is still shared after loading; every other `__id__` goes. Nodes of immutable kinds and arrays lose theirs
  too, because whether two equal ones are one object depends on interning and on who fitted in which process.
* Members are numbered in order of first use, equal members are one, sparse matrices are stored uncompressed, and the
  padding inside structured arrays is zeroed. Sets and vocabularies are sorted. Every date is 1 January 1980.
* An attribute `n_jobs` becomes None and `n_threads` becomes 1; versions, fit times, scorers, cache folders and the
  visit counters of neighbour trees are neutralised, because none of them decides a prediction.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_VERSION = "_sklearn_version"

_BY_VALUE = frozenset(
    {"JsonNode", "TypeNode", "FunctionNode", "TupleNode", "SliceNode", "NdArrayNode", "DTypeNode"}
)
_NEUTRAL = {"n_jobs": None, "n_threads": 1, _VERSION: ""}
_NEUTRAL_IN_SKLEARN = {"memory": None, "verbose": 0, "refit_time_": 0.0, "scorer_": None}
_TIMES = frozenset({"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"})

_NEIGHBOUR_TREES = frozenset({"KDTree", "BallTree"})
_VISITS = slice(7, 11)  # trims, leaves, splits, calls so far: predicting changes them

Node = dict[str, Any]


def canonical_members(archive: bytes) -> dict[str, bytes]:
    """Rewrite an archive of `skops.io.dumps` and return its members by name.

    Parameters
    ----------
    archive
        What `skops.io.dumps` returned.

    Returns
    -------
    dict[str, bytes]
        ``schema.json`` and ``00000.npy``, ``00001.npz``, ``00002.bin``, …
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema: Node = json.loads(members.pop(_SCHEMA))
    schema.pop("_skops_version", None)
    _neutralise(schema)
    for node in _nodes(schema):
        if node["__loader__"] == "SetNode":
            node["content"].sort(key=lambda child: _without_identity(child, members))
    _number_identities(schema)
    renamed = _rename_members(schema, members)
    return {_SCHEMA: json.dumps(schema, separators=(",", ":")).encode(), **renamed}


def pack(members: Mapping[str, bytes], *, compress: bool = False) -> bytes:
    """A zip archive whose bytes depend on nothing but the members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, members[name])
    return buffer.getvalue()


def loadable(members: Mapping[str, bytes]) -> bytes:
    """The archive that `skops.io.loads` reads, which says it was written by the scikit-learn that reads it.

    The version is no part of a bundle's content, and a missing one would make every estimator warn; whether the
    model still predicts what it predicted is proven by the bundle's example instead.
    """
    import sklearn

    schema: Node = json.loads(members[_SCHEMA])
    for _, attributes in _objects(schema):
        if _VERSION in attributes:
            attributes[_VERSION]["content"] = json.dumps(sklearn.__version__)
    return pack({**members, _SCHEMA: json.dumps(schema).encode()})


def _children(value: Any) -> Iterator[Node]:
    """The nodes right below a value, in stored order, through plain lists and dicts."""
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, dict) and "__loader__" in child:
            yield child
        elif isinstance(child, dict | list):
            yield from _children(child)


def _nodes(root: Node) -> Iterator[Node]:
    """All nodes, each before those below it, in stored order. Without recursion: trees can be deep."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(_children(node))))


def _objects(root: Node) -> Iterator[tuple[Node, Node]]:
    """Every object with its attributes by name."""
    for node in _nodes(root):
        state = node.get("content")
        if (
            node["__loader__"] == "ObjectNode"
            and isinstance(state, dict)
            and state["__loader__"] == "DictNode"
        ):
            yield node, state["content"]


def _neutralise(schema: Node) -> None:
    for node, attributes in _objects(schema):
        of_sklearn = node["__module__"].startswith("sklearn.")
        neutral = {**_NEUTRAL, **(_NEUTRAL_IN_SKLEARN if of_sklearn else {})}
        for name in neutral.keys() & attributes.keys():
            attributes[name] = _json_node(neutral[name])
        vocabulary = attributes.get("vocabulary_")
        if of_sklearn and vocabulary is not None and vocabulary["__loader__"] == "DictNode":
            # Text vectorizers fill it in the order of a set; all its keys are text.
            vocabulary["content"] = dict(sorted(vocabulary["content"].items()))
        results = attributes.get("cv_results_")
        if results is not None and results["__loader__"] == "DictNode":
            for name in _TIMES & results["content"].keys():
                results["content"][name] = _json_node(None)
    for node in _nodes(schema):
        if node["__class__"] in _NEIGHBOUR_TREES and node["__module__"].startswith("sklearn.neighbors."):
            state = node["content"]["content"]
            state[_VISITS] = [_json_node(0) for _ in state[_VISITS]]


def _json_node(value: Any) -> Node:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


def _without_identity(node: Node, members: Mapping[str, bytes]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: members[item].hex() if key == "file" else plain(item)
                for key, item in value.items()
                if key != "__id__"
            }
        return [plain(item) for item in value] if isinstance(value, list) else value

    return json.dumps(plain(node), sort_keys=True)


def _number_identities(schema: Node) -> None:
    shareable = [node for node in _nodes(schema) if node["__loader__"] not in _BY_VALUE and "__id__" in node]
    carriers = Counter(node["__id__"] for node in shareable)
    numbers: dict[int, int] = {}
    kept = {id(node) for node in shareable if carriers[node["__id__"]] > 1}
    for node in _nodes(schema):
        identity = node.pop("__id__", None)
        if id(node) in kept:
            node["__id__"] = numbers.setdefault(identity, len(numbers) + 1)  # skops ignores an id of 0


def _rename_members(schema: Node, members: Mapping[str, bytes]) -> dict[str, bytes]:
    names: dict[tuple[str, bytes], str] = {}
    for node in _nodes(schema):
        if isinstance(node.get("file"), str):
            suffix = node["file"].rpartition(".")[2]
            content = _canonical_member(suffix, members[node["file"]])
            node["file"] = names.setdefault((suffix, content), f"{len(names):05d}.{suffix}")
    return {name: content for (_, content), name in names.items()}


def _canonical_member(suffix: str, content: bytes) -> bytes:
    if suffix == "npz":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return pack({name: archive.read(name) for name in archive.namelist()})
    return _without_padding(content) if suffix == "npy" and b"'descr': [" in content[:256] else content


def _without_padding(content: bytes) -> bytes:
    """Zero the bytes between the fields of a structured array: they are whatever lay in memory."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    width = array.dtype.itemsize
    padding = np.ones(width, dtype=bool)
    for kind, offset, *_ in (array.dtype.fields or {}).values():
        padding[offset : offset + kind.itemsize] = False
    header = len(content) - array.nbytes
    # On bytes, because numpy's own copies of structured arrays leave padding unset.
    rows = np.frombuffer(content, dtype=np.uint8, offset=header).reshape(-1, width).copy()
    rows[:, padding] = 0
    return content[:header] + rows.tobytes()
