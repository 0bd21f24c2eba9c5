"""Names in YAML become functions and estimators, from the user's own modules and from scikit-learn only."""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlpipe.spec.nodes import KeyPath, choices, shown, unknown_names

_REFERENCE = re.compile(r"([A-Za-z_][\w.]*|[\w./\-]+\.py):([A-Za-z_]\w*)")
ESTIMATOR_PACKAGES = ("sklearn",)


def is_reference(value: object) -> bool:
    """Whether a text names a function, as ``module:function`` or ``file.py:function``."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def function_of(reference: str, base_dir: Path) -> Any:
    """Function that ``module:function`` or ``file.py:function`` names, relative to the folder of the YAML file.

    Raises
    ------
    ValueError
        When the module or the function does not exist, or the name is no function defined by the user.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference!r} names no function; write 'module:function' or 'file.py:function'")
    module_name, name = match.groups()
    load = _file_module if module_name.endswith(".py") else _module
    try:
        module = load(module_name, base_dir)
    except (ImportError, SyntaxError) as error:
        raise ValueError(f"{module_name} cannot be imported: {error}") from None
    if not hasattr(module, name):
        known = sorted(n for n, v in vars(module).items() if inspect.isfunction(v) and not n.startswith("_"))
        raise ValueError(f"{module_name} has no function {name!r}. {choices(name, known)}".rstrip())
    value = getattr(module, name)
    if not inspect.isfunction(value):
        raise ValueError(f"{reference!r} is a {type(value).__name__}, not a function")
    return value


def _file_module(file: str, base_dir: Path) -> Any:
    path = (base_dir / file).resolve()
    if not path.is_file():
        near = sorted(p.name for p in base_dir.glob("*.py"))
        raise ValueError(f"there is no file {file!r} in {base_dir}. {choices(file, near)}".rstrip())
    package = _package_of(path)
    if package is not None:
        return importlib.import_module(package)
    name = "mlpipe_user_" + re.sub(r"\W", "_", str(path.with_suffix("")))
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]  # a second attempt must not find half a module
        raise
    return module


def _package_of(path: Path) -> str | None:
    """Dotted name under which a file is importable already, so that it is not loaded a second time."""
    parts = [path.stem]
    for parent in path.parents:
        if not (parent / "__init__.py").exists():
            root = parent / parts[-1]
            found = importlib.util.find_spec(parts[-1]) if str(parent) in sys.path else None
            # Another module of that name may come first on the path.
            ours = (str(root.with_suffix(".py")), str(root / "__init__.py"))
            return ".".join(reversed(parts)) if found is not None and found.origin in ours else None
        parts.append(parent.name)
    return None


def _module(name: str, base_dir: Path) -> Any:
    root = name.split(".")[0]
    if root in sys.stdlib_module_names:
        raise ValueError(
            f"{name!r} belongs to Python's standard library; name a function of your own project"
        )
    local = base_dir / f"{name.replace('.', '/')}.py"
    if local.is_file():
        return _file_module(str(local.relative_to(base_dir)), base_dir)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"no module {error.name!r} ({name}); it must be importable, or a file beside the YAML"
        ) from None


def estimator_of(settings: Mapping[str, Any], report: Callable[[KeyPath, str], None]) -> Any:
    """Estimator that ``{class: sklearn.ensemble.RandomForestClassifier, params: {…}}`` describes.

    Returns
    -------
    estimator
        Without the parameters that are wrong; None when there is no such class. Either is reported, with the path below `settings`.
    """
    path, params = settings.get("class"), settings.get("params")
    try:
        kind = _estimator_class(path)
    except ValueError as error:
        report(("class",), str(error))
        return None
    if params is not None and not isinstance(params, Mapping):
        report(("params",), f"must be a mapping of keys, got {shown(params)}")
        params = {}
    given, known = dict(params or {}), sorted(inspect.signature(kind).parameters)
    for where, text in unknown_names(given, known, kind.__name__):
        report(("params", *where), text)
    try:
        return kind(**{k: v for k, v in given.items() if k in known})
    except TypeError as error:
        report(("class",), f"{kind.__name__} cannot be made: {error}")
        return None


def _estimator_class(path: object) -> type:
    """Class of scikit-learn; ValueError when there is none of that name, or it is no estimator."""
    if not isinstance(path, str) or not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z_]\w*)+", path, re.ASCII):
        raise ValueError(
            f"model class {path!r} is no dotted name such as 'sklearn.ensemble.RandomForestClassifier'"
        )
    if path.split(".")[0] not in ESTIMATOR_PACKAGES:
        raise ValueError(
            f"model class {path!r} is not from scikit-learn; name a 'fit' function ('module:function') for anything else"
        )
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        raise ValueError(f"there is no module {module_name!r}") from None
    from sklearn.base import BaseEstimator

    kinds = {n: v for n, v in vars(module).items() if inspect.isclass(v) and issubclass(v, BaseEstimator)}
    if name not in kinds:
        raise ValueError(f"{module_name} has no estimator {name!r}. {choices(name, sorted(kinds))}".rstrip())
    return kinds[name]
