"""Text files: encodings, separators, line ends, quotes, packing, lines that do not belong to the table."""

import bz2
import gzip
from pathlib import Path

import numpy as np

from mlpipe_tests.corpus.case import Expect, as_csv, case, csv, orders, text, timeless

ALL = Expect(features=("size", "load", "region"), rows=300, format="csv", lost=0.0)


@case(ALL)
def a_byte_order_mark(folder: Path) -> str:
    """With the mark taken for a part of it, the first column would have another name."""
    return text(folder, b"\xef\xbb\xbf" + as_csv(timeless()).encode())


@case(Expect(features=("größe", "load", "region"), rows=300, guess="cp1252|latin"))
def latin_1(folder: Path) -> str:
    frame = timeless().rename(columns={"size": "größe"}).replace({"region": {"west": "Süd-Île"}})
    return text(folder, as_csv(frame).encode("latin-1"))


@case(Expect(features=("size", "load", "región"), rows=300, guess="utf-16"))
def utf_16(folder: Path) -> str:
    return text(folder, as_csv(timeless().rename(columns={"region": "región"}), "\t").encode("utf-16"))


@case(Expect(features=("size", "load", "region"), rows=300, lost=0.0))
def latin_1_far_down(folder: Path) -> str:
    """Plain letters in the first 290 rows; what a look at the head does not see."""
    frame = timeless()
    frame.loc[290:, "region"] = "Nürnberg"
    return text(folder, as_csv(frame).encode("latin-1"))


@case(ALL)
def windows_line_ends(folder: Path) -> str:
    return text(folder, as_csv(timeless()).replace("\n", "\r\n"))


@case(ALL)
def line_ends_of_an_old_mac(folder: Path) -> str:
    return text(folder, as_csv(timeless()).replace("\n", "\r"))


@case(Expect(features=("size", "load", "region"), rows=300, left_out={"remark": "free text|identifier"}))
def quoted_newlines(folder: Path) -> str:
    frame = timeless()
    frame["remark"] = [f'first line of {i},\nsecond line, "quoted"\r\nthird' for i in frame.index]
    return csv(frame, folder)


@case(Expect(features=("size", "load", "region"), rows=300, guess=r"separated by ';'"))
def semicolons(folder: Path) -> str:
    return csv(timeless(), folder, sep=";")


@case(Expect(features=("size", "load", "region"), rows=300, guess=r"separated by '\\t'"))
def tabs(folder: Path) -> str:
    return csv(timeless(), folder, "orders.tsv", sep="\t")


@case(Expect(features=("size", "load", "region"), rows=300, guess=r"separated by '\|'"))
def pipes(folder: Path) -> str:
    return csv(timeless(), folder, "orders.txt", sep="|")


@case(Expect(features=("size", "load", "place"), rows=300))
def commas_inside_quotes(folder: Path) -> str:
    """More commas inside the cells than semicolons between them."""
    frame = timeless()
    frame["place"] = np.random.default_rng(1).choice(["a, b, c, d", "e, f, g, h, i", "j, k, l"], len(frame))
    return csv(frame, folder, sep=";", quoting=2)


@case(ALL)
def gzipped(folder: Path) -> str:
    return text(folder, gzip.compress(as_csv(timeless()).encode(), mtime=0), "orders.csv.gz")


@case(ALL)
def bzipped(folder: Path) -> str:
    return text(folder, bz2.compress(as_csv(timeless()).encode()), "orders.csv.bz2")


@case(Expect(features=("size", "load", "region"), rows=300, guess="lines before the column names"))
def comments_before_the_header(folder: Path) -> str:
    return text(
        folder, "# exported 2024-05-01 10:00, by nightly\n# rows: 300, all regions\n" + as_csv(timeless())
    )


@case(Expect(features=("size", "load", "region"), rows=300, guess="lines before the column names"))
def a_title_before_the_header(folder: Path) -> str:
    return text(folder, "Orders of January\n\n" + as_csv(timeless()))


@case(Expect(features=("size", "load", "region"), rows=300))
def a_separator_at_the_end_of_each_line(folder: Path) -> str:
    head, *rest = as_csv(timeless()).splitlines()
    return text(folder, "\n".join([head, *(line + "," for line in rest)]) + "\n")


@case(Expect(features=("size", "load", "region"), rows=300))
def a_separator_at_the_end_of_the_header_too(folder: Path) -> str:
    return text(folder, as_csv(timeless()).replace("\n", ",\n"))


@case(Expect(features=("size", "load", "region"), rows=300, lost=0.02))
def short_lines(folder: Path) -> str:
    """Three lines lack their last cells, the label among them."""
    lines = as_csv(timeless()).splitlines()
    for number in (17, 117, 217):
        lines[number] = ",".join(lines[number].split(",")[:-2])
    return text(folder, "\n".join(lines) + "\n")


@case(Expect(refused=r"line 58\b", code=5))
def a_line_with_too_many_cells(folder: Path) -> str:
    """What belongs where cannot be known, so the line is named."""
    lines = as_csv(timeless()).splitlines()
    lines[57] += ",7,8"
    return text(folder, "\n".join(lines) + "\n")


@case(Expect(features=("size", "load", "region"), lost=0.02))
def a_sum_at_the_end(folder: Path) -> str:
    return text(folder, as_csv(timeless()) + "Total,,,150\n")


@case(Expect(features=("size", "load", "region"), lost=0.02))
def the_header_again_in_the_middle(folder: Path) -> str:
    """Two exports put together."""
    content = as_csv(timeless(rows=150))
    return text(folder, content + as_csv(timeless(rows=150, seed=1)))


@case(Expect(features=("size", "load", "region"), rows=300, lost=0.0))
def empty_lines_in_between(folder: Path) -> str:
    lines = as_csv(timeless()).splitlines()
    return text(folder, "\n\n".join(lines[:20]) + "\n" + "\n".join(lines[20:]) + "\n\n\n")


@case(Expect(features=("size", "load", "region"), rows=300, lost=0.0))
def blanks_after_the_separators(folder: Path) -> str:
    """The names begin with blanks too; nobody means them."""
    return text(folder, as_csv(timeless()).replace(",", ", "), "orders.csv")


@case(Expect(features=("size", "load", "region"), rows=300, lost=0.0))
def everything_in_quotes(folder: Path) -> str:
    return csv(timeless(), folder, quoting=1)


@case(Expect(features=("size", "load", "region"), time="at", every=("day",)))
def an_odd_path(folder: Path) -> str:
    place = folder / "data of 2024 (new) {x} 🙂"
    place.mkdir()
    return f"{place.name}/{csv(orders(days=12), place, 'my orders, final.csv')}"


@case(Expect(refused="is empty", code=5))
def an_empty_file(folder: Path) -> str:
    return text(folder, "")


@case(Expect(refused="is empty|no rows", code=5))
def blank_lines_only(folder: Path) -> str:
    return text(folder, "\n \n\n")


@case(Expect(refused="no rows", code=5))
def only_a_header(folder: Path) -> str:
    return text(folder, "size,load,region,late\n")


@case(Expect(refused="only 1 rows? ha(s|ve) a label|nothing to learn", code=1))
def one_row(folder: Path) -> str:
    return csv(timeless()[:1], folder)


@case(Expect(refused="is no text", code=5))
def a_binary_file_named_csv(folder: Path) -> str:
    return text(folder, bytes(np.random.default_rng(0).integers(0, 256, 5000, dtype="uint8")))


@case(Expect(refused="no column 'late'|line 3", code=5))
def a_page_instead_of_the_file(folder: Path) -> str:
    """What a browser saves when the login has run out."""
    return text(
        folder,
        "<!DOCTYPE html>\n<html><head><title>Log in</title></head>\n<body>Please log in, or else.</body></html>\n",
    )


@case(Expect(refused="there is no|does not exist|No such", code=5))
def a_missing_file(folder: Path) -> str:
    return "order.csv"


@case(Expect(refused="there is no|no files|holds no|is empty", code=5))
def an_empty_folder(folder: Path) -> str:
    (folder / "days").mkdir()
    return "days"


@case(Expect(refused="several kinds", code=5))
def a_folder_of_several_kinds(folder: Path) -> str:
    (folder / "days").mkdir()
    csv(timeless(), folder / "days", "a.csv")
    timeless().to_parquet(folder / "days" / "b.parquet")
    return "days"


@case(Expect(refused="of no kind|is no text", code=5))
def a_workbook(folder: Path) -> str:
    return text(folder, b"PK\x03\x04" + bytes(200) + b"xl/workbook.xml" + bytes(300), "orders.xlsx")


@case(Expect(refused="cannot be read|cut short", code=5))
def a_truncated_gzip(folder: Path) -> str:
    packed = gzip.compress(as_csv(timeless()).encode(), mtime=0)
    return text(folder, packed[: len(packed) // 2], "orders.csv.gz")


@case(
    Expect(time="at", every=("day", "week", "hour"), rows=1_000_000, features=("size", "load", "region")),
    long=True,
)
def a_million_rows(folder: Path) -> str:
    return csv(orders(rows=1_000_000, days=20), folder)
