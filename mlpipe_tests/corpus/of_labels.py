"""Labels: in words, numbers and signs; two classes, many, quantities; rare, missing, constant, absent."""

from pathlib import Path

import numpy as np

from mlpipe_tests.corpus.case import Expect, case, csv, orders, parquet, timeless


@case(Expect(task=("binary",), positive=("churned",), features=("size",)), label="status")
def words(folder: Path) -> str:
    frame = timeless()
    frame["status"] = np.where(np.random.default_rng(1).random(len(frame)) < 0.8, "stayed", "churned")
    frame.loc[frame["late"] == 0, "status"] = "stayed"
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("binary",), positive=(True, "true", "True", None), features=("size",)))
def true_and_false(folder: Path) -> str:
    frame = timeless()
    frame["late"] = frame["late"] == 1
    return csv(frame, folder)


@case(Expect(task=("binary",), positive=(True, "true", "True", None), features=("size",)))
def truth_with_gaps_in_parquet(folder: Path) -> str:
    frame = timeless()
    frame["late"] = (frame["late"] == 1).astype("boolean").mask(frame.index % 9 == 0)
    return parquet(frame, folder)


@case(Expect(task=("binary",), positive=(None, 1, "1")))
def zero_and_one(folder: Path) -> str:
    return csv(orders(days=12), folder)


@case(Expect(task=("binary",), positive=(None, 1, 1.0, "1", "1.0")))
def zero_and_one_with_gaps(folder: Path) -> str:
    """Gaps make the numbers 0.0 and 1.0."""
    frame = timeless()
    frame["late"] = frame["late"].astype(float).mask(frame.index % 10 == 0)
    return csv(frame, folder)


@case(Expect(task=("binary",), positive=("yes",)))
def yes_and_no(folder: Path) -> str:
    frame = orders(days=12)
    frame["late"] = np.where(frame["late"] == 1, "yes", "no")
    return csv(frame, folder)


@case(Expect(task=("binary",), positive=("y", "Y", "yes")))
def y_and_n_with_blanks(folder: Path) -> str:
    frame = timeless()
    spelled = {1: ("Y", "Y ", " y"), 0: ("N", " N", "n ")}
    frame["late"] = [spelled[v][i % 3] for i, v in enumerate(frame["late"])]
    return csv(frame, folder)


@case(Expect(task=("binary",), positive=(None, 2, "2")))
def one_and_two(folder: Path) -> str:
    frame = timeless()
    frame["late"] += 1
    return csv(frame, folder)


@case(Expect(task=("binary",), positive=(None, 1, "1")))
def minus_one_and_one(folder: Path) -> str:
    frame = timeless()
    frame["late"] = frame["late"] * 2 - 1
    return csv(frame, folder)


@case(Expect(task=("multiclass",), features=("size", "load")), label="kind")
def thirty_classes(folder: Path) -> str:
    frame = timeless(rows=2000)
    rank = (frame["size"] / 10 + frame["load"]).rank(pct=True)
    frame["kind"] = [f"kind {int(r * 29.99):02d}" for r in rank]
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("multiclass",), features=("size", "load")), label="kind")
def classes_of_which_some_stand_once(folder: Path) -> str:
    frame = timeless()
    frame["kind"] = np.where(frame["late"] == 1, "a", np.where(frame["load"] > 0, "b", "c"))
    frame.loc[[10, 20, 30], "kind"] = ["once", "another", "third"]
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("multiclass", "regression"), features=("size", "load")), label="stars")
def one_to_five_stars(folder: Path) -> str:
    frame = timeless()
    frame["stars"] = (1 + 4 * (frame["load"] + frame["size"] / 20).rank(pct=True)).round().astype(int)
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("multiclass", "regression"), features=("size", "load")), label="visits")
def counts(folder: Path) -> str:
    frame = timeless()
    frame["visits"] = np.random.default_rng(2).poisson(np.exp(frame["load"]))
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("regression",), features=("size", "load"), lost=0.01), label="price")
def a_heavy_tail(folder: Path) -> str:
    frame = orders(days=12)
    noise = np.random.default_rng(3).standard_t(2, len(frame))
    frame["price"] = np.exp(2 + frame["load"] + 0.5 * noise).round(2)
    return csv(frame.drop(columns="late"), folder)


@case(
    Expect(
        task=("regression",), features=("size", "load"), clean={"price": {"to": "number", "thousands": ","}}
    ),
    label="price",
)
def a_target_with_thousands_separators(folder: Path) -> str:
    frame = timeless()
    frame["price"] = [f"{v:,.2f}" for v in 5000 + 900 * frame["load"] + 20 * frame["size"]]
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("regression",), features=("size", "load"), lost=0.02), label="price")
def a_target_with_infinities(folder: Path) -> str:
    frame = timeless()
    frame["price"] = frame["size"] + frame["load"]
    frame.loc[[7, 70], "price"] = [np.inf, -np.inf]
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("regression",), features=("size",)), label="balance")
def a_target_in_accounts_notation(folder: Path) -> str:
    """A target of a European export: 1.234,56, and a minus for what is owed."""
    frame = timeless()
    values = 2000 * frame["load"] + 10 * frame["size"]
    frame["balance"] = [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in values]
    return csv(frame.drop(columns="late"), folder, sep=";", decimal=",")


@case(Expect(task=("binary",), positive=(None, 1, "1"), every=("none",)), label="fraud")
def two_percent_positives(folder: Path) -> str:
    frame = timeless(rows=2000)
    frame["fraud"] = ((frame["load"] + frame["size"] / 40).rank(pct=True) > 0.98).astype(int)
    noise = np.random.default_rng(4).random(len(frame)) < 0.01
    frame["fraud"] = np.where(noise, 0, frame["fraud"])
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("binary",), learns=False), label="fraud")
def three_positives(folder: Path) -> str:
    """Far too few to judge on: a recorded refusal or a weak model, never a crash."""
    frame = timeless()
    frame["fraud"] = 0
    frame.loc[[40, 140, 240], "fraud"] = 1
    return csv(frame.drop(columns="late"), folder)


@case(Expect(task=("binary",), learns=False), label="late")
def one_class_in_the_first_half(folder: Path) -> str:
    """Windows of the past hold one class only."""
    frame = orders(days=12)
    frame.loc[frame["at"] < "2024-01-09", "late"] = 0
    return csv(frame, folder)


@case(Expect(task=("binary",), features=("size", "load"), guess="have no label"))
def half_null(folder: Path) -> str:
    frame = orders(days=12)
    frame["late"] = frame["late"].astype("Int64").mask(frame.index % 2 == 0)
    return csv(frame, folder)


@case(Expect(task=("binary",), positive=("yes",), features=("size",)))
def question_marks_for_no_label(folder: Path) -> str:
    frame = timeless()
    frame["late"] = np.where(frame.index % 12 == 0, "?", np.where(frame["late"] == 1, "yes", "no"))
    return csv(frame, folder)


@case(Expect(task=("binary",), features=("size",)))
def minus_999_for_no_label(folder: Path) -> str:
    frame = timeless()
    frame.loc[::12, "late"] = -999
    return csv(frame, folder)


@case(Expect(task=("binary",), features=("size",)), label="Was it late? (1/0) 🙂")
def an_odd_name(folder: Path) -> str:
    return csv(timeless().rename(columns={"late": "Was it late? (1/0) 🙂"}), folder)


@case(Expect(task=("binary",), features=("size",)), label="class")
def a_reserved_word(folder: Path) -> str:
    frame = timeless().rename(columns={"late": "class"})
    frame["class"] = np.where(frame["class"] == 1, "<=50K", ">50K")
    return csv(frame, folder)


@case(Expect(refused="the label is 1 in every row", code=1))
def constant_label(folder: Path) -> str:
    frame = timeless()
    frame["late"] = 1
    return csv(frame, folder)


@case(Expect(refused="the label holds no value", code=1))
def empty_label(folder: Path) -> str:
    frame = timeless()
    frame["late"] = np.nan
    return csv(frame, folder)


@case(Expect(refused=r"no column 'lat'.*Did you mean 'late'", code=4), label="lat")
def absent_label(folder: Path) -> str:
    return csv(timeless(), folder)


@case(Expect(refused="the label holds times", code=1), label="at")
def a_label_of_times(folder: Path) -> str:
    return csv(orders(), folder)


@case(Expect(refused="different words", code=1), label="remark")
def a_label_of_free_text(folder: Path) -> str:
    frame = timeless()
    frame["remark"] = [f"the customer of order {i} was {'angry' if i % 2 else 'glad'}" for i in frame.index]
    return csv(frame, folder)


@case(Expect(refused="only 8 rows have a label", code=1))
def eight_labels(folder: Path) -> str:
    frame = timeless()
    frame["late"] = frame["late"].astype("Int64").where(frame.index < 8)
    return csv(frame, folder)
