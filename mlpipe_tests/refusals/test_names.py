"""Names, partitions, paths and reasons with `../`, NUL, quotes, HTML, SQL, control characters or no end: refused."""

import json
from pathlib import Path
from xml.dom import minidom

import pytest

from mlpipe_tests.refusals.conftest import FIRST, LAST, NEXT, TRAINED
from mlpipe_tests.refusals.project import BEFORE, Project, days, orders

ODD = {
    "path": "../../elsewhere",
    "sql": "'; DROP TABLE runs; --",
    "quotes": "\"q\" 'q' `q`",
    "html": "<script>alert(1)</script>",
    "emoji": "😀",
    "line": "a\nb",
    "control": "\x1b[31mred\x07",
    "long": "x" * 5000,
}
PLACES = (
    (("run", "{}"), 4, "there is no pipeline"),
    (("run", "shop", "--from", "{}"), 4, "unknown partition"),
    (("run", "shop", "--from", TRAINED, "--train-at", "{}"), 4, "unknown partition"),
    (("run", "shop", "--from", TRAINED, "--as-of", "{}"), 1, "is no time"),
    (("as-of", "shop", "{}"), 1, "is no time"),
    (("history", "shop", "--ledger", "{}"), 4, "has no ledger"),
    (("replay", "shop", "--from", NEXT, "--to", NEXT, "--ledger", "{}"), 1, "may not be"),
    (("replay", "shop", "--from", NEXT, "--to", NEXT, "--inject", f"{{}}@{NEXT}"), 4, "unknown fault"),
    (("replay", "shop", "--from", NEXT, "--to", NEXT, "--policy", "{}"), 4, "the policy cannot be read"),
    (("check", "-f", "{}"), 4, "names no Python file or module"),
    (("store", "verify", "--store", "{}"), 4, "there is no store at"),
    (("init", "{}", "--data", f"data/{FIRST}.csv", "--label", "late"), 4, "is no name of a pipeline"),
    (("init", "fine", "--data", "{}", "--label", "late"), 5, "there is no file"),
    (("init", "fine", "--data", f"data/{FIRST}.csv", "--label", "{}"), 4, "there is no column"),
)
"""Where a name enters the command line, and what is said of one that is not there."""


def tree(folder: Path) -> set[str]:
    """Every file and folder but those that Dagster keeps its own open files in."""
    return {
        str(p.relative_to(folder)) for p in folder.rglob("*") if not {"history", "schedules"} & set(p.parts)
    }


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_what_is_no_name_is_refused_wherever_it_enters(shop: Project, text: str) -> None:
    """Each place answers in its own sentence; nothing is made, here or elsewhere, and the terminal is not steered."""
    shop("history", "shop")
    before = tree(shop.folder.parent)
    for arguments, code, said in PLACES:
        told = shop(*(a.replace("{}", text) for a in arguments))
        if text == ODD["long"] and "policy" not in said and told.code in (4, 5, 8) and "too long" in told.err:
            # It may name a file, and this disk holds none of such a name.
            shop.refused(told, told.code, "File name too long")
            continue
        message = shop.refused(told, code, said)
        assert all(c.isprintable() or c == "\n" for c in message), (arguments, message)
    assert tree(shop.folder.parent) == before
    assert shop.decisions() == BEFORE
    shop.sound()


@pytest.mark.parametrize(
    ("text", "said"),
    [("a\0b", "holds a NUL: 'a\\x00b'"), ("", "is empty; leave the option out"), ("\ud800", "is no text in UTF-8: '\\ud800'")],
)  # fmt: skip
def test_an_argument_that_no_command_can_mean_is_a_wrong_command_line(
    shop: Project, text: str, said: str
) -> None:
    """An empty one above all: `--from "$DAY"` without a DAY would ask for all there is."""
    for arguments in (
        ("run", "shop", "--from", "{}"),
        ("promote", "shop", "1", "--reason", "{}"),
        ("run", "{}"),
    ):
        told = shop(*(a.replace("{}", text) for a in arguments))
        assert told.code == 2 and f"an argument {said}" in told.err and "usage: mlpipe" in told.err
    assert shop("run", "shop", "--from=").code == 2
    assert shop.decisions() == BEFORE and NEXT not in shop.verdicts("raw")


def test_a_reason_is_carried_as_it_is_and_shown_without_harm(shop: Project) -> None:
    told = shop("run", "shop", "--from", LAST, "--train-at", NEXT, "--reason", ODD["html"])
    assert told.code == 0, told.err
    texts = [ODD[k] for k in ("sql", "html", "control", "line", "quotes", "path", "emoji")]
    for text in texts:
        version = "1" if "shop@2 is in production" in shop("history", "shop").out else "2"
        assert shop("promote", "shop", version, "--reason", text, "--override").code == 0
    kept = [json.loads(line)["reason"] for line in shop("history", "shop", "--json").out.splitlines()]
    assert [r for r in kept if r in texts][-len(texts) :] == texts
    shown = shop("history", "shop").out + shop("as-of", "shop", "2999-01-01").out
    assert all(c.isprintable() or c == "\n" for c in shown) and ODD["html"] in shown
    for text, said in (
        (ODD["long"], "has 5000 characters; at most 2000"),
        (" \t", "The reason of an entry is empty"),
    ):
        shop.refused(shop("promote", "shop", "1", "--reason", text, "--override"), 1, said)
    shop.sound()


@pytest.mark.long
def test_columns_may_be_called_anything(new: Project) -> None:
    """From the file to the picture of a replay, in which a drift by name must be told."""
    names = {"size": "si<b>ze</b> 'x\" 😀.a|b", "region": "SELECT 1; DROP TABLE orders; --", "late": "läte?"}
    for n, key in enumerate(days()):
        new.data(key, orders(key).assign(size=lambda o, n=n: o["size"] + n * 50).rename(columns=names))
    new.declare(
        label=f"ml.Label({names['late']!r})",
        features=repr([names["size"], names["region"]]),
        window='"3d"',
        split='ml.Split(valid="1d", test="1d")',
        retrain='ml.Retrain(every="never", drift=0.01, cool_down="0s", min_new_data="0s")',
        min_tenure='"0s"',
    )
    told = new("replay", "shop", "--from", days()[4], "--to", NEXT)
    assert told.code == 0, told.err
    (folder,) = (new.home / "replays/shop").iterdir()
    svg, page = ((folder / name).read_text() for name in ("timeline.svg", "replay.md"))
    minidom.parseString(svg)
    assert "PSI of si" in page and "<b>" not in page.replace("\\<b\\>", "") and "<b>" not in svg
    rows = [line for line in page.splitlines() if "PSI of si" in line]
    assert rows and all(line.replace("\\|", "").count("|") == 7 for line in rows), rows
    new.sound()
