"""Templates give what they name, and nothing of Python's own."""

from typing import Any

import jinja2
import pytest

from mlpipe.orchestration.templates import filled, is_template, spelled


class Env:
    def __call__(self, name: str, default: str = "") -> str:
        return default

    def __getattr__(self, name: str) -> str | None:
        return {"NAME": "shop", "COUNT": "12"}.get(name)


SCOPE: dict[str, Any] = {"env": Env(), "limits": {"low": 1.5}, "names": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("{{ env.NAME }}", "shop", "shop"),
        ("{{ env.COUNT }}", 12, "12"),
        ("{{ limits.low }}", 1.5, "1.5"),
        ("{{ names }}", ["a", "b"], "['a', 'b']"),
        ("{{ env('X', 'default') }}-{{ names[1] }}", "default-b", "default-b"),
        ("{{ env.ABSENT }}", None, "None"),
        ("{% for n in names %}{{ n }}{% endfor %}", "ab", "ab"),
    ],
)
def test_a_template_gives_a_value_or_its_text(text: str, value: object, words: str) -> None:
    assert is_template(text) and filled(text, SCOPE) == value and spelled(text, SCOPE) == words
    assert not is_template("plain {text}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.mro() }}",
        "{{ names.__class__.__base__.__subclasses__() }}",
        "{{ ''['__cl' ~ 'ass__'].mro() }}",
        "{{ (names|map(attribute='__class__')|first).mro() }}",
        "{{ (''|attr('__class__')).mro() }}",
        "{{ env.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(names).upper() }}",
        "{{ cycler.__init__.__globals__.os.system('touch pwned') }}",
        "{{ nobody }}",
        "{{ names",
    ],
)
def test_a_template_reaches_no_further(text: str) -> None:
    for fill in (filled, spelled):
        with pytest.raises((jinja2.TemplateError, AttributeError)):
            print(fill(text, SCOPE))
