from typing import Any

import jinja2.nativetypes
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlpipe.scaffold.text import Because, document, scalar
from mlpipe.spec.yaml_file import read

PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)


def filled(value: Any) -> Any:
    """What Dagster's template makes of a value."""
    if isinstance(value, dict):
        return {k: filled(v) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v) for v in value]
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return jinja2.nativetypes.NativeTemplate(value).render()
    return value


@given(settings=st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=4), why=st.text())
def test_what_is_written_is_read_again(settings: dict[str, Any], why: str) -> None:
    held = {k: Because(v, [why]) for k, v in settings.items()}
    text = document(held, [why], "mlpipe.PipelineComponent")
    ((found, _),) = read(text, "defs.yaml")
    assert found["type"] == "mlpipe.PipelineComponent"
    assert filled(found["attributes"]) == settings


def test_words_that_yaml_takes_for_something_else_are_quoted() -> None:
    for word in (
        "yes",
        "NO",
        "null",
        "1",
        "1.5",
        "2024-01-01",
        "12:30",
        "~",
        "",
        " a",
        "a: b",
        "#x",
        "a, b",
        "[",
        "é",
        "🚀",
    ):
        assert yaml.safe_load(f"[{scalar(word)}]") == [word]
    assert yaml.safe_load(f"[{scalar(1e-05)}, {scalar(1e22)}]") == [1e-05, 1e22]


def test_reasons_stand_above_what_they_explain() -> None:
    settings = {
        "name": "shop",
        "features": [Because("a", ["first"]), "b"],
        "model": Because({"class": "x.Y", "params": {"n": 1}}, ["why"]),
    }
    assert document(settings, ["Made."], "t").splitlines() == [
        "# Made.",
        "type: t",
        "attributes:",
        "  name: shop",
        "  features:",
        "    # first",
        "    - a",
        "    - b",
        "  # why",
        "  model:",
        "    class: x.Y",
        "    params: {n: 1}",
    ]
