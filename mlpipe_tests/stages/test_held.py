"""What is held once a process: by hand."""

from functools import partial

from mlpipe.stages.held import Held


def test_a_value_is_made_once_and_the_oldest_make_room() -> None:
    made: list[str] = []

    def maker(name: str) -> str:
        made.append(name)
        return name * 3

    held: Held[str] = Held(12, len)
    for name in ("a", "b", "a", "c", "d"):
        assert held.get(name, partial(maker, name)) == name * 3
    assert made == ["a", "b", "c", "d"], "all four take twelve bytes"
    held.get("e", partial(maker, "e"))
    held.get("a", partial(maker, "a"))
    assert made == ["a", "b", "c", "d", "e"], "the second was used least lately, not the first"
    held.get("b", partial(maker, "b"))
    assert made[-1] == "b"


def test_what_is_large_is_not_held() -> None:
    held: Held[str] = Held(12, len)
    assert held.get("large", lambda: "four") == "four"
    assert held.get("large", lambda: "else") == "else"
