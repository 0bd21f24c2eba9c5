"""The `defs.yaml` files of a project, looked at before Dagster reads them.

Dagster's reader unfolds every alias, and tells of other mistakes without the file and line in which they stand.
"""

from pathlib import Path

import yaml

from mlpipe.errors import SpecError, did_you_mean
from mlpipe.spec.yaml_file import composed, read

FILE, OURS = "defs.yaml", "mlpipe.PipelineComponent"
KEYS = ("type", "attributes", "requirements", "template_vars_module", "post_processing")
"""What a document of a component may hold."""


def look_over(package: Path) -> None:
    """Read every `defs.yaml` below a package: all of them must be YAML that ends, and ours a component that Dagster can make.

    Raises
    ------
    SpecError
        With the file and line of the first that is not.
    """
    for file in sorted(package.rglob(FILE)):
        text = _text(file)
        documents = composed(text, str(file))
        if not documents:
            raise SpecError(
                "this file is empty", where=str(file), fix=f"Begin with 'type: {OURS}', or remove the file."
            )
        for document in documents:
            _component(document, str(file))
        if any(_type(d).startswith("mlpipe.") for d in documents):
            read(text, str(file))


def _text(file: Path) -> str:
    data = file.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"this is no text in UTF-8: {error.reason}", where=f"{file}:{line}", fix="Save the file as UTF-8."
        ) from None


def _component(node: yaml.Node, file: str) -> None:
    where = f"{file}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(
            "a component must be a mapping of keys", where=where, fix=f"Begin with 'type: {OURS}'."
        )
    keys = {str(k.value): (k, v) for k, v in node.value}
    if "type" not in keys:
        raise SpecError("'type' is missing", where=where, fix=f"Begin with 'type: {OURS}'.")
    name = _type(node)
    if name.startswith("mlpipe.") and name != OURS:
        line = keys["type"][1].start_mark.line + 1
        fix = did_you_mean(name, [OURS])
        raise SpecError(f"unknown type {name!r}", where=f"{file}:{line}, key type", fix=fix)
    for key, (written, value) in keys.items() if name == OURS else ():
        place = f"{file}:{written.start_mark.line + 1}, key {key}"
        if key not in KEYS:
            fix = "Indent the settings of the pipeline below 'attributes'. " + did_you_mean(key, KEYS)
            raise SpecError(f"unknown key {key!r}", where=place, fix=fix)
        if key == "attributes" and not isinstance(value, yaml.MappingNode):
            raise SpecError("must be a mapping of keys", where=place, fix="Begin with 'name: …'.")


def _type(node: yaml.Node) -> str:
    """Name of the type of a component; empty without one."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(v.value) for k, v in pairs if k.value == "type"), "")
