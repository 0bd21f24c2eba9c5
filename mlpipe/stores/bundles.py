"""Model bundles: one file with a model, its signature and a proof that it predicts. Never a pickle.

A bundle is a zip of ``manifest.json`` (signature; and, outside the id, what it was made with), ``model.skops`` (see
`canonical_skops`), ``input_example.parquet`` and ``output_example.json`` (what the model said about the example when
it was saved, outside the id). The id is BLAKE2b (20 bytes) over the signature, the members of the model and the
content id of the example. It covers no clock, host, memory address, thread count or version of a library; so two fits
on the same data with the same seed have one id wherever the arithmetic is bit-equal.

Loading trusts the types shipped in `trusted.TRUSTED` and those in the caller's `trusted=`, never what the file says.
"""

import hashlib
import io
import platform
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np

from mlpipe.errors import BundleError, DataError, StoreError, UserCodeError
from mlpipe.stores import canonical_skops
from mlpipe.stores.canonical_json import canonical_json, parse_json
from mlpipe.stores.scoring import Bundle
from mlpipe.stores.seeding import seed_everything
from mlpipe.stores.tables import ID_BYTES, canonical, from_parquet, table_id, to_frame, to_parquet
from mlpipe.stores.trusted import TRUSTED, check_structures, type_names

__all__ = ["TRUSTED", "Bundle", "bundle_id", "dumps", "loads", "seed_everything"]

FORMAT = 1
_MANIFEST, _MODEL = "manifest.json", "model.skops"
_EXAMPLE, _OUTPUT = "input_example.parquet", "output_example.json"
_MEMBERS = frozenset({_MANIFEST, _MODEL, _EXAMPLE, _OUTPUT})
_MADE_WITH = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
_RELATIVE, _ABSOLUTE = 1e-5, 1e-7
_MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    RuntimeError,
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)
_FIX = "Restore it from a backup or train again; its id says which bytes it must have."


@dataclass(frozen=True)
class _Parts:
    """What lies in a bundle, before anything of the model is built."""

    manifest: dict[str, Any]
    model: dict[str, bytes]
    example: bytes
    output: list[Any]

    @property
    def id(self) -> str:
        digest = hashlib.blake2b(b"mlpipe-bundle/1\n", digest_size=ID_BYTES)
        signature = canonical_json({"format": FORMAT, **self.manifest["signature"]})
        parts = {"signature": signature, "example": table_id(from_parquet(self.example)).encode()}
        parts |= {f"model/{name}": content for name, content in self.model.items()}
        for name in sorted(parts):
            for piece in (name.encode(), parts[name]):
                digest.update(struct.pack("<Q", len(piece)))
                digest.update(piece)
        return f"bundle-{digest.hexdigest()}"


def dumps(bundle: Bundle, trusted: Sequence[str | type] = ()) -> tuple[str, bytes]:
    """Id and bytes of a bundle, after it was loaded again and predicted the same; see `proven`."""
    return proven(bundle, trusted)[:2]


def proven(bundle: Bundle, trusted: Sequence[str | type] = ()) -> tuple[str, bytes, Bundle]:
    """Id and bytes of a bundle, and the bundle as it was loaded again from them, which predicted the same.

    Parameters
    ----------
    bundle
        The model. Its example is scored.
    trusted
        Types, or their full names, that loading may build besides `TRUSTED`: the user's own transformers.

    Raises
    ------
    BundleError
        The estimator cannot be saved, or holds a type that `loads` would refuse with the same `trusted`.
    DataError
        The example cannot be scored or stored.
    """
    import skops.io

    names = list(bundle.feature_names)
    example = canonical(bundle.input_example[names])
    try:
        model = canonical_skops.canonical_members(skops.io.dumps(bundle.estimator))
    except (TypeError, ValueError, AttributeError, LookupError, RecursionError) as error:
        raise BundleError(
            f"The model cannot be saved: {str(error).splitlines()[0]}",
            where=type(bundle.estimator).__name__,
            fix="Use functions and classes of an importable module, without lambdas, open files or circles.",
        ) from error
    parts = _Parts(_manifest(bundle), model, to_parquet(example), bundle.predict(to_frame(example)).tolist())
    data = canonical_skops.pack(
        {
            _MANIFEST: canonical_json(parts.manifest),
            _MODEL: canonical_skops.pack(model),
            _EXAMPLE: parts.example,
            _OUTPUT: canonical_json({"predictions": parts.output}),
        },
        compress=True,
    )
    return parts.id, data, loads(data, parts.id, trusted)


def loads(data: bytes, expected_id: str | None = None, trusted: Sequence[str | type] = ()) -> Bundle:
    """The bundle in `data`, proven by scoring its example.

    Parameters
    ----------
    data
        What `dumps` returned.
    expected_id
        When given, the id that the content must have.
    trusted
        Types, or their full names, that may be built besides `TRUSTED`. A type runs its own code when it is built:
        name only what you have read.

    Raises
    ------
    BundleError
        The bytes are damaged, are not `expected_id`, hold a type that is not trusted, or the model no longer
        predicts what it predicted.
    """
    parts = _open(data, expected_id or "")
    if expected_id is not None and parts.id != expected_id:
        raise BundleError(
            "The bundle's content is not what its id says: it is damaged or was changed.",
            where=expected_id,
            fix=_FIX,
        )
    estimator = _build(parts.model, TRUSTED | type_names(trusted))
    signature = parts.manifest["signature"]
    try:
        bundle = Bundle(
            estimator=estimator,
            task=signature["task"],
            features=tuple((str(name), str(dtype)) for name, dtype in signature["features"]),
            classes=tuple(signature["classes"]),
            positive=signature["positive"],
            threshold=signature["threshold"],
            input_example=to_frame(from_parquet(parts.example)),
            extra=signature["extra"],
        )
        now = bundle.predict(bundle.input_example)
    except (*_MALFORMED, DataError, UserCodeError) as error:
        raise BundleError(
            f"The model cannot score its own example: {error}", where=_made_with(parts.manifest), fix=_FIX
        ) from error
    then = np.asarray(parts.output, dtype=np.float64)
    if then.shape != now.shape or not np.allclose(now, then, rtol=_RELATIVE, atol=_ABSOLUTE):
        raise BundleError(
            f"The model no longer predicts what it predicted when it was saved: {now.tolist()}, then {then.tolist()}.",
            where=_made_with(parts.manifest),
            fix="Load it with the versions it was made with, or train again.",
        )
    return bundle


def bundle_id(data: bytes) -> str:
    """Id of the bundle in `data`, from its content. Builds nothing of the model, so nothing need be trusted.

    Raises
    ------
    BundleError
        The bytes are damaged.
    """
    return _open(data).id


def features_of(data: bytes) -> tuple[tuple[str, str], ...]:
    """Name and pandas dtype of each column that the model in `data` takes. Builds nothing of the model.

    Raises
    ------
    BundleError
        The bytes are damaged.
    """
    signature = _open(data).manifest["signature"]
    return tuple((str(name), str(dtype)) for name, dtype in signature["features"])


def _manifest(bundle: Bundle) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "signature": {
            "task": bundle.task,
            "features": [list(feature) for feature in bundle.features],
            "classes": list(bundle.classes),
            "positive": bundle.positive,
            "threshold": bundle.threshold,
            "extra": dict(bundle.extra),
        },
        "made_with": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{name: metadata.version(name) for name in _MADE_WITH},
        },
    }


def _made_with(manifest: dict[str, Any]) -> str:
    made = manifest.get("made_with", {})
    return "made with " + ", ".join(f"{name} {version}" for name, version in made.items())


def _open(data: bytes, where: str = "") -> _Parts:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if sorted(names) != sorted(_MEMBERS):
                raise ValueError(f"members {names[:10]}")
            members = {name: archive.read(name) for name in names}
        with zipfile.ZipFile(io.BytesIO(members[_MODEL])) as archive:
            names = archive.namelist()
            if len(set(names)) != len(names):
                raise ValueError("members of one name")
            model = {name: archive.read(name) for name in names}
        manifest = parse_json(members[_MANIFEST], _MANIFEST)
        output = parse_json(members[_OUTPUT], _OUTPUT)["predictions"]
        parts = _Parts(manifest, model, members[_EXAMPLE], output)
        if manifest["format"] == FORMAT:
            _ = parts.id
    except (*_MALFORMED, StoreError, DataError) as error:
        raise BundleError(f"The bundle is damaged: {error}", where=where, fix=_FIX) from error
    if manifest["format"] != FORMAT:
        raise BundleError(
            f"The bundle has format {manifest['format']}; this mlpipe reads format {FORMAT}.",
            where=where,
            fix="Use the version of mlpipe that wrote it, or train again.",
        )
    return parts


def _build(model: dict[str, bytes], trusted: frozenset[str]) -> Any:
    import skops.io

    try:
        archive = canonical_skops.loadable(model)
        found = set(skops.io.get_untrusted_types(data=archive))
    except _MALFORMED as error:
        raise BundleError(f"The model in the bundle is damaged: {error}", fix=_FIX) from error
    refused = sorted(found - trusted)
    if refused:
        raise BundleError(
            f"The model holds types that are not trusted: {', '.join(refused[:10])}.",
            fix=f"If you know them, give trusted={refused[:10]} to the model. A lambda needs a name first.",
        )
    try:
        # Only those that are needed: skops goes through the list for each node of the model.
        estimator = skops.io.loads(archive, trusted=sorted(found))
    except _MALFORMED as error:
        raise BundleError(
            f"The model cannot be built: {error}",
            fix="Make its modules importable, in the versions that the manifest names.",
        ) from error
    check_structures(estimator)
    return estimator
