"""Names in YAML become functions and estimators, from the user's own modules and from scikit-learn only."""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlpipe.errors import did_you_mean

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
    module = (
        _file_module(module_name, base_dir) if module_name.endswith(".py") else _module(module_name, base_dir)
    )
    if not hasattr(module, name):
        known = sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_"))
        raise ValueError(f"{module_name} has no {name!r}. {did_you_mean(name, known)}")
    value = getattr(module, name)
    if not inspect.isfunction(value):
        raise ValueError(f"{reference!r} is a {type(value).__name__}, not a function")
    return value


def _file_module(file: str, base_dir: Path) -> Any:
    path = (base_dir / file).resolve()
    if not path.is_file():
        near = sorted(p.name for p in base_dir.glob("*.py"))
        raise ValueError(f"there is no file {file!r} in {base_dir}. {did_you_mean(file, near)}")
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
    spec.loader.exec_module(module)
    return module


def _package_of(path: Path) -> str | None:
    """Dotted name under which a file is importable already, so that it is not loaded a second time."""
    parts = [path.stem]
    for parent in path.parents:
        if not (parent / "__init__.py").exists():
            dotted = ".".join(reversed(parts))
            spec = importlib.util.find_spec(parts[-1]) if str(parent) in sys.path else None
            return dotted if spec is not None else None
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


def estimator_of(settings: Mapping[str, Any]) -> Any:
    """Estimator that ``{class: sklearn.ensemble.RandomForestClassifier, params: {…}}`` describes.

    Raises
    ------
    ValueError
        When the class does not exist, is no scikit-learn estimator, or has no such parameter.
    """
    path, params = settings.get("class"), settings.get("params") or {}
    if not isinstance(path, str) or "." not in path:
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
    except ModuleNotFoundError:
        raise ValueError(f"there is no module {module_name!r}") from None
    from sklearn.base import BaseEstimator

    known = [
        n
        for n in dir(module)
        if inspect.isclass(getattr(module, n)) and issubclass(getattr(module, n), BaseEstimator)
    ]
    if name not in known:
        raise ValueError(f"{module_name} has no estimator {name!r}. {did_you_mean(name, known)}")
    accepted = sorted(getattr(module, name)().get_params(deep=False))
    for param in params:
        if param not in accepted:
            raise ValueError(f"{name} has no parameter {param!r}. {did_you_mean(str(param), accepted)}")
    return getattr(module, name)(**params)
