"""Columns: hollow, full of words, of lists, of mixed types; identifiers, leaks, duplicates; odd names; very many."""

import uuid
from pathlib import Path

import numpy as np
import pandas as pd

from mlpipe_tests.corpus.case import Expect, case, csv, orders, timeless

TALE = "the driver said that it rained hard and nobody was at home so he left it with a friendly neighbour"


@case(
    Expect(
        features=("size", "load"),
        left_out={"source": "constant", "remark": "no value", "dashes": "no value", "town": "identifier"},
    )
)
def hollow_columns(folder: Path) -> str:
    """One word in all rows; nothing; signs for nothing; another word in nearly every row."""
    frame = orders(days=12)
    draw = np.random.default_rng(1)
    frame["source"], frame["remark"] = "web", np.nan
    frame["dashes"] = draw.choice(["-", "n/a", ""], len(frame))
    frame["town"] = [f"town {v}" for v in draw.permutation(len(frame))]
    return csv(frame, folder)


@case(Expect(features=("size", "load", "shop")))
def many_categories(folder: Path) -> str:
    """Two hundred shops, of which most stand a few times: much, but no identifier."""
    frame = timeless(rows=1500)
    frame["shop"] = [f"shop-{v:03d}" for v in np.random.default_rng(1).zipf(1.3, len(frame)) % 200]
    return csv(frame, folder)


@case(Expect(features=("size", "load"), left_out={"remark": "free text"}))
def long_free_text(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    frame["remark"] = [
        " ".join(draw.choice(TALE.split(), draw.integers(8, 60))) + "." for _ in range(len(frame))
    ]
    return csv(frame, folder)


@case(Expect(features=("size", "load"), left_out={"tags": "list", "basket": "list", "pair": "list"}))
def lists_in_strings(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    frame["tags"] = [str(list(draw.choice(["new", "fast", "big"], 2))) for _ in range(len(frame))]
    frame["basket"] = [
        f'{{"apples": {draw.integers(9)}, "pears": {draw.integers(9)}}}' for _ in range(len(frame))
    ]
    frame["pair"] = [f"[{draw.integers(9)}, {draw.integers(9)}]" for _ in range(len(frame))]
    return csv(frame, folder)


@case(Expect(features=("size", "load"), lost=0.0), keys=["order_id"])
def exact_duplicates(folder: Path) -> str:
    """A tenth of the rows stands twice, word for word; the key is not unique, and rows must not be lost for it."""
    frame = orders(days=12)
    frame.insert(0, "order_id", np.arange(len(frame)) + 1000)
    return csv(pd.concat([frame, frame.iloc[::10]]).sort_values("at", kind="stable"), folder)


@case(Expect(time="at", features=("size", "load"), guess="share their key|several rows"), keys=["customer"])
def duplicate_keys_and_times(folder: Path) -> str:
    """A customer stands on several rows, sometimes twice at the same time."""
    frame = orders(days=12)
    frame["customer"] = np.random.default_rng(1).integers(0, 60, len(frame))
    frame.loc[11, ["at", "customer"]] = frame.loc[10, ["at", "customer"]].to_numpy()
    frame["at"] = pd.to_datetime(frame["at"])
    return csv(frame, folder)


@case(
    Expect(
        features=("size", "load"),
        left_out={"uid": "identifier", "number": "identifier", "customer_id": "identifier"},
    )
)
def identifiers(folder: Path) -> str:
    """A UUID, a running number, and large numbers of which each stands once."""
    frame = timeless()
    draw = np.random.default_rng(1)
    frame["uid"] = [str(uuid.UUID(bytes=draw.bytes(16))) for _ in range(len(frame))]
    frame["number"] = np.arange(len(frame)) + 17
    frame["customer_id"] = draw.permutation(10_000_000)[: len(frame)]
    return csv(frame, folder)


@case(Expect(time="at", features=("size", "load"), left_out={"order_id": "identifier"}), keys=["order_id"])
def a_key(folder: Path) -> str:
    frame = orders(days=12)
    frame.insert(0, "order_id", [f"A-{i:06d}" for i in range(len(frame))])
    return csv(frame, folder)


@case(Expect(features=("size", "load"), left_out={"was_late": "future", "code": "future", "fee": "future"}))
def copies_of_the_label(folder: Path) -> str:
    """The label in words, as a code, and a fee that only the late ones pay."""
    frame = timeless()
    late = frame["late"] == 1
    frame["was_late"] = np.where(late, "delayed", "in time")
    frame["code"] = np.where(late, 7, 3)
    frame["fee"] = np.where(late, frame["size"].round() + 1, 0)
    return csv(frame, folder)


@case(
    Expect(
        task=("binary",),
        features=("size", "load"),
        left_out={"cancel_date": "future", "cancel_reason": "future"},
    ),
    label="churned",
)
def known_only_afterwards(folder: Path) -> str:
    """Filled only for those who left."""
    frame = orders(days=12).rename(columns={"late": "churned", "at": "snapshot_at"})
    left = frame["churned"] == 1
    frame["cancel_date"] = (frame["snapshot_at"] + pd.Timedelta(days=20)).dt.strftime("%Y-%m-%d").where(left)
    reasons = np.random.default_rng(1).choice(["price", "moved", "other"], len(frame))
    frame["cancel_reason"] = pd.Series(reasons).where(left)
    return csv(frame, folder)


@case(Expect(task=("regression",), features=("size", "load"), left_out={"total": "future"}), label="price")
def a_quantity_that_follows_the_label(folder: Path) -> str:
    """The price with tax is known when the price is."""
    frame = timeless()
    frame["price"] = (frame["size"] + 10 * frame["load"]).round(2)
    frame["total"] = (1.19 * frame["price"]).round(2)
    return csv(frame.drop(columns="late"), folder)


@case(Expect(features=("size", "load", "weight"), lost=0.05))
def mixed_types(folder: Path) -> str:
    """Numbers, but three cells hold words and one a date."""
    frame = timeless()
    frame["weight"] = np.random.default_rng(1).normal(70, 9, len(frame)).round(1).astype(str)
    frame.loc[[5, 50, 150, 250], "weight"] = ["heavy", "about 80", "2024-01-01", "12kg"]
    return csv(frame, folder)


@case(Expect(features=("size", "load", "code")))
def numbers_and_words_half_and_half(folder: Path) -> str:
    frame = timeless()
    frame["code"] = np.random.default_rng(1).choice(["1", "2", "A", "B", "3.5", "true"], len(frame))
    return csv(frame, folder)


@case(
    Expect(
        features=("size", "load", "income", "spaced", "swiss"),
        clean={"income": {"thousands": ","}, "spaced": {"thousands": " "}, "swiss": {"thousands": "'"}},
    )
)
def thousands_separators(folder: Path) -> str:
    frame = timeless()
    values = np.random.default_rng(1).integers(500, 4_000_000, len(frame))
    frame["income"] = [f"{v:,}" for v in values]
    frame["spaced"] = [f"{v:,}".replace(",", " ") for v in values[::-1]]
    frame["swiss"] = [f"{v:,}.{v % 90 + 10}".replace(",", "'") for v in np.roll(values, 7)]
    return csv(frame, folder)


@case(Expect(features=("size", "load", "price", "share"), clean={"size": {"decimal": ","}}))
def decimal_commas(folder: Path) -> str:
    frame = timeless()
    frame["price"] = [
        f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in 900 * frame["load"].abs() + 500
    ]
    frame["share"] = (frame["load"].abs() / 5).round(3)
    return csv(frame, folder, sep=";", decimal=",")


@case(Expect(features=("size", "load", "rebate", "price")))
def percent_and_currency_signs(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    frame["rebate"] = [f"{v}%" for v in draw.integers(0, 60, len(frame))]
    frame["price"] = [f"${v:,.2f}" for v in draw.gamma(2, 800, len(frame))]
    return csv(frame, folder)


@case(Expect(features=("size", "load", "age", "income", "grade"), lost=0.02))
def signs_for_nothing(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    signs = np.array(["NA", "?", "-999", "null", "-", ""])
    for name, values in (
        ("age", draw.integers(18, 90, len(frame)).astype(str)),
        ("income", draw.gamma(2, 900, len(frame)).round(2).astype(str)),
        ("grade", draw.choice(["a", "b", "c"], len(frame))),
    ):
        frame[name] = np.where(draw.random(len(frame)) < 0.15, draw.choice(signs, len(frame)), values)
    return csv(frame, folder)


@case(Expect(features=("size", "load", "age"), clean={"age": {"null": [-999]}}, lost=0.02))
def minus_999(folder: Path) -> str:
    frame = timeless()
    age = np.random.default_rng(1).integers(18, 90, len(frame))
    frame["age"] = np.where(frame.index % 6 == 0, -999, age)
    return csv(frame, folder)


@case(Expect(features=("size", "load", "ratio"), lost=0.03))
def infinities(folder: Path) -> str:
    frame = timeless()
    frame["ratio"] = np.where(frame.index % 50 == 0, np.inf, frame["size"] / 7)
    return csv(frame, folder)


@case(Expect(features=("size", "load", "big", "small"), lost=0.02))
def very_large_and_very_small_numbers(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    frame["big"] = [str(10**25 + int(v)) for v in draw.integers(0, 10**18, len(frame))]
    frame["small"] = draw.normal(size=len(frame)) * 1e-250
    return csv(frame, folder)


@case(Expect(features=("size", "load", "member", "gift", "paid")))
def yes_and_no_as_features(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    frame["member"] = draw.choice(["yes", "no"], len(frame))
    frame["gift"] = draw.choice(["T", "F", ""], len(frame))
    frame["paid"] = draw.choice([True, False], len(frame))
    return csv(frame, folder)


@case(Expect(features=("size", "load", "postcode")))
def leading_zeros(folder: Path) -> str:
    """Postcodes: numbers by look, names by nature."""
    frame = timeless()
    frame["postcode"] = np.random.default_rng(1).choice([f"{v:05d}" for v in range(1067, 1099)], len(frame))
    return csv(frame, folder)


@case(Expect(features=("size", "load", "region", "cell"), lost=0.02))
def values_that_look_like_code(folder: Path) -> str:
    frame = timeless()
    words = [
        "<script>alert(1)</script>",
        "'; DROP TABLE orders; --",
        "=1+1",
        "../../etc/passwd",
        "{{ env.HOME }}",
        "${HOME}",
    ]
    frame["cell"] = np.random.default_rng(1).choice(words, len(frame))
    return csv(frame, folder)


# -- names --------------------------------------------------------------------------------------------------------

ODD = (
    "self",
    "total amount",
    "a.b.c",
    "größe",
    "🚚",
    'say "hi"',
    "it's",
    "class",
    "def",
    "select",
    "from",
    "index",
    "name",
    "{{x}}",
    "${HOME}",
    "a,b",
    "a\tb",
    "<b>",
    "x" * 120,
    "null",
    "true",
    "1",
    "-",
    "#",
    "&a",
    "*a",
    "!tag",
    "key: value",
    "[0]",
    "%s",
)


@case(Expect(features=("size", "load", *ODD)))
def odd_names(folder: Path) -> str:
    """Spaces, dots, emoji, quotes, reserved words of Python, SQL, YAML, and templates."""
    frame = timeless()
    draw = np.random.default_rng(1)
    made = pd.DataFrame(draw.normal(size=(len(frame), len(ODD))).round(3), columns=list(ODD))
    return csv(pd.concat([frame, made], axis=1), folder)


@case(
    Expect(
        features=("size", "load"),
        left_out={
            "_row": "name",
            "_time": "name",
            "_known_at": "name",
            "_partition": "name",
            "_label": "name",
        },
    )
)
def names_of_mlpipes_own(folder: Path) -> str:
    frame = orders(days=12)
    draw = np.random.default_rng(1)
    for name in ("_row", "_time", "_known_at", "_partition", "_label"):
        frame[name] = draw.normal(size=len(frame)).round(3)
    return csv(frame, folder)


@case(Expect(features=("size", "Size", "size ", "SIZE")))
def names_that_differ_in_case_or_blanks(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    for name in ("Size", "size ", "SIZE"):
        frame[name] = draw.normal(size=len(frame)).round(3)
    return csv(frame, folder)


@case(Expect(features=("size", "load"), left_out={"Unnamed: 0": "identifier"}))
def an_index_without_a_name(folder: Path) -> str:
    """What `DataFrame.to_csv` writes when nobody says `index=False`."""
    timeless().to_csv(folder / "orders.csv")
    return "orders.csv"


@case(Expect(features=("size", "load")))
def a_name_that_stands_twice(folder: Path) -> str:
    frame = timeless()
    content = frame.assign(other=frame["load"].round(1)).to_csv(index=False).replace("other", "size", 1)
    (folder / "orders.csv").write_text(content)
    return "orders.csv"


@case(Expect(features=("size", "load"), lost=0.02))
def six_hundred_columns(folder: Path) -> str:
    frame = timeless()
    draw = np.random.default_rng(1)
    wide = pd.DataFrame(
        draw.normal(size=(len(frame), 595)).round(3), columns=[f"sensor {i}" for i in range(595)]
    )
    return csv(pd.concat([frame, wide], axis=1), folder)


@case(Expect(features=("size",), every=("none",)))
def two_columns_only(folder: Path) -> str:
    return csv(timeless()[["size", "late"]], folder)


@case(Expect(refused="no column is left to learn from", code=1))
def nothing_but_identifiers(folder: Path) -> str:
    frame = timeless()
    return csv(
        pd.DataFrame({"row_id": np.arange(len(frame)), "source": "web", "late": frame["late"]}), folder
    )


@case(
    Expect(features=("size", "frame", "columns", "axis"), clean={"frame": {"thousands": ","}}, lost=0.0),
    label="self",
    keys=["key"],
)
def names_of_arguments(folder: Path) -> str:
    """Columns called like arguments of the functions that handle them; the label is `self`."""
    frame = timeless().rename(columns={"late": "self", "load": "axis", "region": "columns"})
    frame["frame"] = [f"{v:,}" for v in np.random.default_rng(1).integers(500, 4_000_000, len(frame))]
    frame["key"] = [f"K{i}" for i in range(len(frame))]
    return csv(frame, folder)
