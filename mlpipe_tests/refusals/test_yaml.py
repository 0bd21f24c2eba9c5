"""YAML that is none, that holds a bomb or asks for Python objects, and names in it that nobody knows: refused with file, line and key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe.scaffold.project import DEFINITIONS, PYPROJECT
from mlpipe_tests.corpus.drive import working_in
from mlpipe_tests.refusals.project import Project

DEFS = """\
type: mlpipe.PipelineComponent
attributes:
  name: shop
  partitions: {every: day, start: "2024-01-01"}
  source: {type: csv, path: "../../../data/{partition}.csv", event_time: at, keys: [order]}
  label: late
  features: [size, region]
  model: {class: sklearn.linear_model.LogisticRegression}
  metrics: [roc_auc, f1]
  bootstrap: 100
  gates:
    - at_least: {metric: roc_auc, value: 0.1}
"""
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
"""Nine levels of nine aliases: a file of half a kilobyte with a billion values."""
MODULE = "shop_project"


@pytest.fixture
def yaml(tmp_path: Path) -> Iterator[Project]:
    """A project whose pipeline is declared in YAML, and the process at work there."""
    project = Project(tmp_path / "yaml").make(keys=[])
    (project.folder / "definitions.py").unlink()
    for file, text in {
        f"{MODULE}/__init__.py": "",
        f"{MODULE}/defs/__init__.py": "",
        f"{MODULE}/definitions.py": DEFINITIONS,
        f"{MODULE}/defs/shop/defs.yaml": DEFS,
        "pyproject.toml": PYPROJECT.format(project="shop", module=MODULE, home="home"),
    }.items():
        (project.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / file).write_text(text)
    with working_in(project.folder):
        yield project


def refused(project: Project, text: str | bytes, code: int, *words: str, line: int | None = None) -> str:
    """`check`, `run` and `history` refuse the file in the same words, and nothing is made."""
    file = project.folder / MODULE / "defs/shop/defs.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    place = f"{file}:{line}" if line else str(file)
    said = project.refused(project("check"), code, place, *words)
    assert project("run", "shop").err.strip() == said
    assert not project.store.exists() and not (project.folder / "pwned").exists()
    return said


def test_the_declaration_that_is_spoilt_here_is_good(yaml: Project) -> None:
    told = yaml("check")
    assert told.code == 0 and told.out.startswith("shop: good.")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("roc_auc, f1", "roc_au, f1", 9, ["key metrics.0", "unknown metric 'roc_au'. Did you mean 'roc_auc'"]),
        ("at_least", "at_lest", 12, ["unknown gate 'at_lest'. Did you mean 'at_least'"]),
        ("value: 0.1", "valu: 0.1", 12, ["gate at_least has no parameter 'valu'. Did you mean 'value'"]),
        ("bootstrap", "bootstap", 10, ["unknown key 'bootstap'. Did you mean 'bootstrap'"]),
        ("type: csv", "type: cvs", 5, ["unknown type 'cvs'. Did you mean 'csv'"]),
        ("every: day", "every: dya", 4, ["key partitions.every", "'dya'", "day"]),
        ("PipelineComponent", "PipelineComponen", 1, ["unknown type", "mean 'mlpipe.PipelineComponent'"]),
        ("attributes:", "attribute:", 2, ["unknown key 'attribute'", "Did you mean 'attributes'"]),
        ("attributes:", "attributes: [1]\nextra:", 2, ["key attributes: must be a mapping of keys"]),
        ("class: sklearn.linear_model.LogisticRegression", "class: os.system", 8, ["not from scikit-learn"]),
        ("LogisticRegression}", "LogisticRegresion}", 8, ["no estimator 'LogisticRegresion'", "Did you"]),
        ("features: [size, region]", "features: subprocess:run", 7, ["Python's standard library"]),
        ("label: late", "label: !!python/object/apply:os.system ['touch pwned']", 6, ["is not allowed"]),
        ("label: late", "label: !!python/name:os.system", 6, ["'tag:yaml.org,2002:python/name:os.system'"]),
        ("bootstrap: 100", "bootstrap: 100\n  bootstrap: 200", 11, ["the key 'bootstrap' stands twice"]),
        ("label: late", "\tlabel: late", 6, ["this is no valid YAML", "tabs are not allowed"]),
        ("[size, region]", "[size, region", 8, ["this is no valid YAML"]),
        ("label: late", "label: l\0te", 6, ["'\\x00' is not allowed"]),
        ("label: late", "label: &a [*a]", 6, ["an alias to itself"]),
        ("bootstrap: 100", f"tags: {'[' * 60}{']' * 60}", 10, ["nested too deeply"]),
        ("label: late", "label: \"{{ ''.__class__.mro() }}\"", 6, ["key label", "SecurityError", "unsafe"]),
        ("label: late", "label: '{{ nobody }}'", 6, ["key label", "'nobody' is undefined"]),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(
    yaml: Project, old: str, new: str, line: int, words: list[str]
) -> None:
    assert DEFS.count(old) == 1
    refused(yaml, DEFS.replace(old, new), 3, *words, line=line)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["this file is empty", "Begin with 'type: mlpipe.PipelineComponent'"]),
        (b"- a\n- b\n", ["a component must be a mapping of keys"]),
        (b"hello", ["a component must be a mapping of keys"]),
        (b"name: shop\n", ["'type' is missing"]),
        (bytes(range(256)), ["this is no text in UTF-8"]),
        (DEFS.replace("late", "l\xe4te").encode("latin-1"), [".yaml:6: this is no text in UTF-8"]),
        ((BOMB + DEFS).encode(), ["unfolds to more than 100,000 values", "Remove the nested aliases"]),
        (DEFS.replace("  bootstrap: 100", "  tags: &t {a: *t}").encode(), ["an alias to itself"]),
        (f"{DEFS}  tags: {'[' * 3000}{']' * 3000}".encode(), ["nested too deeply"]),
    ],
    ids=["empty", "list", "word", "typeless", "binary", "latin-1", "bomb", "circle", "deep"],
)
def test_what_is_no_declaration_at_all(yaml: Project, text: bytes, words: list[str]) -> None:
    refused(yaml, text, 3, *words)


def test_a_bomb_in_a_file_beside_ours_is_defused_too(yaml: Project) -> None:
    """Another component's file is read by Dagster just the same; what else it may hold is its own affair."""
    other = yaml.folder / MODULE / "defs/other/defs.yaml"
    other.parent.mkdir()
    other.write_text(f"type: somebody.Else\n{BOMB}")
    yaml.refused(yaml("check"), 3, f"{other}:1", "unfolds to more than 100,000 values")


def test_of_many_mistakes_ten_are_told_and_the_valid_names_once(yaml: Project) -> None:
    text = DEFS + "".join(f"  nope{n}: 1\n" for n in range(25))
    said = refused(yaml, text, 3, "pipeline 'shop' has 25 mistakes", "… and 15 more")
    assert said.count("unknown key 'nope") == 10 and said.count("Valid: ") == 1


@pytest.mark.parametrize(
    "name", ["../x", "Shop", "sh op", "'; drop table x", "<b>", "naïve", "x" * 100, "🚀", "a/b"]
)
def test_a_pipeline_has_a_plain_name(yaml: Project, name: str) -> None:
    quoted = "'" + name.replace("'", "''") + "'"
    refused(yaml, DEFS.replace("name: shop", f"name: {quoted}"), 3, "key name", "no valid name", line=3)


@pytest.mark.parametrize(
    ("file", "text", "code", "words"),
    [
        ("pyproject.toml", "[tool.dg\n", 4, ["this is no valid TOML", "Mend the line"]),
        ("workspace.yaml", "load_from: [\n", 4, ["this is no valid YAML"]),
        ("workspace.yaml", "- 1\n", 4, ["names no Python module or file"]),
        ("workspace.yaml", "load_from: [{python_file: {}}, 3]\n", 4, ["names no Python module or file"]),
        ("home/dagster.yaml", "storage: [\n", 1, ["Dagster cannot open its instance", "dagster.yaml"]),
        ("policy.yaml", "every: [\n", 3, ["policy.yaml:2", "this is no valid YAML"]),
        ("policy.yaml", "evry: week\n", 3, ["policy.yaml:1, key evry", "Did you mean 'every'?"]),
    ],
)  # fmt: skip
def test_other_files_of_a_project(yaml: Project, file: str, text: str, code: int, words: list[str]) -> None:
    if file == "workspace.yaml":
        (yaml.folder / "pyproject.toml").unlink()
    (yaml.folder / file).write_text(text)
    arguments = ["replay", "shop", "--from", "2024-01-01", "--to", "2024-01-02"]
    more = ["--policy", file] if file == "policy.yaml" else []
    yaml.refused(yaml(*arguments, *more), code, file.split("/")[-1], *words)
