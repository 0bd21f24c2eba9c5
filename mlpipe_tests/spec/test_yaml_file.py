"""The YAML door: exact lines, nothing constructed, and either a specification or a SpecError."""

import copy
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlpipe as ml
from mlpipe.errors import NotFoundError, SpecError
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.spec.yaml_file import build_mapping, decoded, policy_file, read
from mlpipe_tests.spec.declared import FILE, YAML, declared, loaded

FUNCTIONS = """\
def make(frames, history): return frames
def late(rows): return rows
def load(window): return window
def fit(train, valid, params, log): return None
def repair(rows): return rows
NUMBER = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "feat.py").write_text(FUNCTIONS)
    return tmp_path


def told(text: str, folder: Path = Path(".")) -> dict[str, str]:
    """Findings of a YAML text by place."""
    with pytest.raises(SpecError) as caught:
        loaded(text, folder)
    return {f.where: f.what for f in caught.value.findings}


def test_both_doors_make_the_same_specification() -> None:
    yaml_door, python_door = (
        spec.model_dump(exclude={"where", "base_dir", "model"}) for spec in (loaded(YAML), declared())
    )
    assert yaml_door == python_door
    models = loaded(YAML).model, declared().model
    assert repr(models[0]) == repr(models[1]) and "C=0.5" in repr(models[0])


def test_every_mistake_has_the_line_of_its_key() -> None:
    text = YAML
    for right, wrong in (
        ("event_time", "evnt_time"),
        ("min: 0", "mim: 0"),
        ("30d", "30x"),
        ("[hours, adds]", "[hours, adds, churned]"),
        ("C: 0.5", "c: 0.5"),
        ("test: 10d", "tst: 10d"),
        ("f1, roc_auc", "f1, rmse"),
        ("value: 0.6", "valu: 0.6"),
        ("every: week", "every: year"),
        ("owner:", "ownr:"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    assert {place: text.split(". ")[0] for place, text in told(text).items()} == {
        "defs.yaml:2, key ownr": "unknown key 'ownr'",
        "defs.yaml:7, key source.evnt_time": "unknown key 'evnt_time'",
        "defs.yaml:11, key source.contract.columns.hours.mim": "unknown key 'mim'",
        "defs.yaml:12, key label.available_after": "'30x' is no duration; write a number and a unit (s, m, h, d, w), "
        "such as '30d' or '1d 12h'",
        "defs.yaml:13, key features.2": "'churned' is the label or one of its outcomes, and so cannot be a feature",
        "defs.yaml:16, key model.params.c": "LogisticRegression has no parameter 'c'",
        "defs.yaml:17, key split.tst": "unknown key 'tst'",
        "defs.yaml:18, key metrics.1": "metric 'rmse' is not for a binary or multiclass model",
        "defs.yaml:20, key gates.0.at_least": "gate at_least needs value",
        "defs.yaml:20, key gates.0.at_least.valu": "gate at_least has no parameter 'valu'",
        "defs.yaml:22, key retrain.every": "unknown value 'year'",
    }


def test_lines_of_lists_and_of_a_document_further_down() -> None:
    text = "# a comment\n\na: 1\n---\nlist:\n  - x\n\n  - {y: 2,\n     z: 3}\n"
    (_, first), (second, lines) = read(text, FILE)
    assert first == {(): 3, ("a",): 3}
    assert second == {"list": ["x", {"y": 2, "z": 3}]}
    assert lines == {
        (): 5,
        ("list",): 5,
        ("list", 0): 6,
        ("list", 1): 8,
        ("list", 1, "y"): 8,
        ("list", 1, "z"): 9,
    }


def test_text_stays_what_was_written() -> None:
    text = "{d: 2024-01-01, t: 2024-01-01 10:00:00, c: NO, o: on, m: 12:30, b: true, n: null, i: 3, f: 0.5, e: '7', on: x}"
    ((document, _),) = read(text, FILE)
    assert document == {
        "d": "2024-01-01",
        "t": "2024-01-01 10:00:00",
        "c": "NO",
        "o": "on",
        "m": "12:30",
        "b": True,
        "n": None,
        "i": 3,
        "f": 0.5,
        "e": "7",
        "on": "x",
    }
    assert loaded(YAML + "automation: on\n").automation == "on"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: [1\n", 3, "no valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "no valid YAML: found character '\\t'"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands twice"),
        ("a: 1\nb: *c\n", 2, "undefined alias 'c'"),
        ("a: &x [*x]\n", 1, "holds an alias to itself"),
        ("a:\n  b: &x {c: *x}\n", 2, "holds an alias to itself"),
        (
            "a: 1\nb: !!python/object/apply:os.system [ls]\n",
            2,
            "python/object/apply:os.system' is not allowed",
        ),
        ("a: !!python/name:os.system\n", 1, "python/name:os.system' is not allowed"),
        ("!!python/object:x.Y {a: 1}\n", 1, "python/object:x.Y' is not allowed"),
        ("a: !mine x\n", 1, "the tag '!mine' is not allowed"),
        ("a: !!set {x}\n", 1, "set' is not allowed"),
        ("a: 1\n? [b]\n: c\n", 2, "a key must be plain text"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys (<<) are not allowed"),
        ("a: 1\nb: x\x00y\n", 2, "the character '\\x00' is not allowed"),
        ("a: !!int x\n", 1, "'x' cannot be read"),
        ("a: " + "9" * 5000, 1, "cannot be read"),
        ("a: " + "[" * 60 + "]" * 60, 1, "nested too deeply"),
        ("{a: " * 200 + "1" + "}" * 200, 1, "nested too deeply"),
    ],
)
def test_bad_yaml_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(text, FILE)
    assert caught.value.where == f"{FILE}:{line}"
    assert what in caught.value.what and caught.value.fix


def test_bombs_are_refused_at_once() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    started = time.process_time()
    for bomb, what in ((laughs, "unfolds to more than 100,000 values"), ("[" * 20_000, "nested too deeply")):
        with pytest.raises(SpecError, match=what):
            read(bomb, FILE)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(("text", "kind"), [("[1, 2]", "list"), ("only text", "str"), ("---\n", "NoneType")])
def test_a_document_that_is_no_mapping_is_refused(text: str, kind: str) -> None:
    with pytest.raises(SpecError, match=f"a pipeline must be a mapping of keys, got {kind}"):
        loaded(text)
    assert read("", FILE) == [] and read("# nothing\n", FILE) == []


def test_bytes_that_are_no_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    assert decoded("größe: 1\n".encode(), FILE) == "größe: 1\n"
    with pytest.raises(SpecError, match="the byte 0xf6 is not allowed") as caught:
        decoded("a: 1\ngröße: 1\n".encode("latin-1"), FILE)
    assert caught.value.where == f"{FILE}:2" and caught.value.fix == "Save the file as UTF-8."
    (tmp_path / "policy.yaml").write_bytes(b"every: week\n# \xff\n")
    with pytest.raises(SpecError, match="no text in UTF-8") as caught:
        policy_file(tmp_path / "policy.yaml")
    assert caught.value.where.endswith("policy.yaml:2")


def test_the_label_is_no_key_of_its_rows() -> None:
    assert told(YAML.replace("[user]", "[user, churned]")) == {
        "defs.yaml:8, key source.keys.1": "'churned' is the label or one of its outcomes, which features never see, "
        "and so cannot be a key"
    }
    outcome = YAML.replace("churned, ", "churned, outcomes: [user], ")
    assert list(told(outcome)) == ["defs.yaml:8, key source.keys.0"]


@pytest.mark.parametrize(
    ("key", "shown"),
    [("''", "''"), ('"a\\nb"', r"'a\nb'"), ("x" * 200, f"'{'x' * 76}…"), ("größe in m", "größe in m")],
)
def test_a_key_that_cannot_be_seen_or_is_endless_is_told_in_one_line(key: str, shown: str) -> None:
    ((place, what),) = told(YAML + f"{key}: 1\n").items()
    assert place == f"defs.yaml:{YAML.count(chr(10)) + 1}, key {shown}" and what.startswith("unknown key")


# -- names --------------------------------------------------------------------------------------------------------


def test_functions_are_found_by_name_and_called_by_nobody(folder: Path) -> None:
    text = YAML.replace("[hours, adds]", "feat.py:make").replace(
        "{column: churned, available_after", "{function: feat:late, available_after"
    )
    spec = loaded(text + "baseline: feat:late\n", folder)
    assert spec.features.function is not None and spec.features.function.__name__ == "make"
    assert spec.label.function is spec.baseline, "one file is one module, by whichever name"
    text = YAML.replace("    columns:", "    repair: feat.py:repair\n    columns:").replace(
        "adds]", "repair]"
    )
    assert loaded(text, folder).sources["rows"].contract.repair is not None
    assert loaded(YAML + "tags: {repair: a.b}\n", folder).tags == {"repair": "a.b"}


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        (
            "feat.py:mak",
            "feat.py has no function 'mak'. Did you mean 'make'? Valid: fit, late, load, make, repair.",
        ),
        ("feat:NUMBER", "'feat:NUMBER' is a int, not a function"),
        ("fest.py:make", "Did you mean 'feat.py'?"),
        ("os:system", "'os' belongs to Python's standard library"),
        ("no_such_module_here:f", "no module 'no_such_module_here'"),
        ("a..b:f", "a..b"),
        ("broken.py:f", "broken.py cannot be imported: invalid syntax"),
        ("needy.py:f", "needy.py cannot be imported: No module named 'absent_thing'"),
    ],
)
def test_a_function_that_does_not_exist_is_told(folder: Path, reference: str, what: str) -> None:
    (folder / "broken.py").write_text("def f(:\n")
    (folder / "needy.py").write_text("import absent_thing\n")
    for _ in range(2):  # what was half loaded the first time must not be found the second
        ((place, text),) = told(YAML.replace("[hours, adds]", reference), folder).items()
        assert place == "defs.yaml:13, key features.function" and what in text
    assert not [name for name in sys.modules if name.endswith(("_broken", "_needy"))]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("sklearn.linear_model.LogisticRegresion", "Did you mean 'LogisticRegression'"),
        ("sklearn.linear_modl.LogisticRegression", "there is no module 'sklearn.linear_modl'"),
        ("sklearn..X", "is no dotted name"),
        ("os.system", "is not from scikit-learn"),
        ("builtins.eval", "is not from scikit-learn"),
        ("5", "is no dotted name"),
        ("sklearn.utils.Bunch", "has no estimator 'Bunch'"),
        ("sklearn.ensemble.VotingClassifier", "VotingClassifier cannot be made"),
        ("sklearn.ensemble.BaseEnsemble", "BaseEnsemble cannot be made"),
    ],
)
def test_a_model_class_must_be_an_estimator_of_scikit_learn(name: str, what: str) -> None:
    text = YAML.replace("sklearn.linear_model.LogisticRegression\n  params: {C: 0.5}", name)
    ((place, found),) = told(text).items()
    assert place == "defs.yaml:15, key model.class" and what in found
    short = YAML.replace(
        "model:\n  class: sklearn.linear_model.LogisticRegression\n  params: {C: 0.5}", f"model: {name}"
    )
    assert "defs.yaml:14, key model" in next(iter(told(short)))


def test_all_parameters_that_a_class_lacks_are_told() -> None:
    found = told(YAML.replace("{C: 0.5}", "{c: 0.5, max_itr: 3}"))
    assert list(found) == ["defs.yaml:16, key model.params.c", "defs.yaml:16, key model.params.max_itr"]
    assert "Did you mean 'max_iter'" in found["defs.yaml:16, key model.params.max_itr"]
    assert told(YAML.replace("{C: 0.5}", "[C]")) == {
        "defs.yaml:16, key model.params": "must be a mapping of keys, got ['C']"
    }


# -- anything at all ----------------------------------------------------------------------------------------------

BASE: dict[str, Any] = read(YAML, FILE)[0][0]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        [
            "1d",
            "99999999999d",
            "parquet",
            "sql",
            "f1",
            "a:b",
            "feat.py:x",
            "2024-02-30",
            "0001-01-01",
            "{x}",
            "hour",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [below for key, inner in items for below in [(*path, key), *paths(inner, (*path, key))]]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The valid settings with some keys dropped, renamed, retyped or added, some of them as an overlay."""
    out = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 4))):
        places = paths(out)
        if not places:
            break
        *above, last = draw(st.sampled_from(places))
        holder: Any = out
        for step in above:
            holder = holder[step]
        how = draw(st.sampled_from(["drop", "rename", "retype", "add"]))
        if how == "drop":
            del holder[last]
        elif how == "retype":
            holder[last] = draw(VALUES)
        elif isinstance(holder, dict):
            names = st.text(max_size=5) | st.sampled_from(
                sorted({*PipelineSpec.model_fields, "overlays", "type", "join"})
            )
            holder[draw(names)] = holder.pop(last) if how == "rename" else draw(VALUES)
    if draw(st.booleans()):
        out["overlays"] = {
            draw(st.sampled_from(["dev", "prod", "live"])): draw(
                st.sampled_from([out.get("split"), {"window": "3d"}, copy.deepcopy(out)]) | VALUES
            )
        }
    return out


def either_or(document: Any) -> None:
    error = None
    try:
        spec = build_mapping(document, {(): 1}, file=FILE, base_dir=Path("."))
    except SpecError as refusal:
        error = refusal
    if error is None:
        assert isinstance(spec, PipelineSpec)
    else:
        assert (error.findings or not isinstance(document, dict)) and str(error)
        assert all(f.where.startswith(FILE) and f.what for f in error.findings)


@settings(max_examples=300)
@given(mutated())
def test_whatever_is_written_gives_a_specification_or_a_spec_error(document: dict[str, Any]) -> None:
    either_or(document)


@pytest.mark.long
@settings(max_examples=5000)
@given(mutated() | VALUES)
def test_whatever_is_written_gives_a_specification_or_a_spec_error_long(document: Any) -> None:
    either_or(document)


@settings(max_examples=100)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@,? \n\t\x00\x85é", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    error = None
    try:
        read(text, FILE)
    except SpecError as refusal:
        error = refusal
    assert error is None or (error.where.startswith(FILE) and error.fix)


def test_a_settings_key_that_is_no_text_is_refused() -> None:
    with pytest.raises(SpecError):
        ml.Pipeline(name="x", tags={1: "x"}, problem={None: 1})


# -- a policy in a file of its own -----------------------------------------------------------------------------------


def test_a_policy_is_the_keys_of_retrain_with_or_without_that_name(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("every: week\ndrift: 0.3\ncool_down: 3d\n")
    policy = policy_file(path)
    assert (policy.every, policy.drift, policy.cool_down.days) == ("week", 0.3, 3)
    path.write_text("retrain:\n  every: never\n  performance: 0.02\n")
    assert policy_file(path).performance == 0.02


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("every: week\ndrfit: 0.3\n", 2, "unknown key 'drfit'. Did you mean 'drift'?"),
        ("retrain:\n  drift: -1\n", 2, "drift must be 'calibrated', a number above 0, or null"),
        ("every: fortnight\n", 1, "never"),
    ],
)
def test_a_mistake_in_a_policy_is_told_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as told:
        policy_file(path)
    assert f"{path}:{line}" in str(told.value) and what in str(told.value)


def test_a_policy_that_is_no_mapping_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        policy_file(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- week\n")
    with pytest.raises(SpecError, match="one mapping of the keys of 'retrain'"):
        policy_file(tmp_path / "list.yaml")


def test_a_mistake_below_a_key_of_a_policy_is_told_with_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("retrain:\n  every: week\n  pays:\n    valu: 1\n    training: -1\n  budget: {}\n")
    with pytest.raises(SpecError) as caught:
        policy_file(path)
    told = [(f.where.removeprefix(str(path)), f.what) for f in caught.value.findings]
    assert told == [
        (":3, key pays.value", "'value' is missing"),
        (":5, key pays.training", "must be greater than or equal to 0, got -1"),
        (":4, key pays.valu", "unknown key 'valu'. Did you mean 'value'? Valid: review, training, value."),
        (":6, key budget", "a budget needs 'retrains', 'minutes' or both"),
    ]


def test_business_metrics_are_functions_by_name_alone_or_in_the_long_form(folder: Path) -> None:
    (folder / "shop.py").write_text(
        "def profit(predictions): return 1\ndef calls(predictions, labels): return 2\n"
    )
    text = YAML + (
        "monitor: {business: {profit: 'shop.py:profit', calls: {function: 'shop.py:calls'}}}\n"
        "levels: {business: {calls: {at_least: 1}}}\n"
    )
    spec = loaded(text, folder)
    assert {n: b.reads for n, b in spec.monitor.business.items()} == {
        "profit": ("predictions",),
        "calls": ("predictions", "labels"),
    }
    wrong = text.replace("shop.py:profit", "shop.py:proft")
    assert any("Did you mean 'profit'" in what for what in told(wrong, folder).values())
