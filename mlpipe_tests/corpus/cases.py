"""All cases of the corpus, each in the module of its kind."""

import re

from mlpipe_tests.corpus import of_columns, of_files, of_formats, of_labels, of_times
from mlpipe_tests.corpus.case import CASES, Case

KINDS = (of_times, of_labels, of_columns, of_files, of_formats)
ALL: tuple[Case, ...] = tuple(CASES)


def problems(cases: tuple[Case, ...] = ALL) -> list[str]:
    """What is wrong with the corpus itself: a name that no pipeline may have, or that stands twice."""
    names = [c.name for c in cases]
    return [n for n in names if names.count(n) > 1 or not re.fullmatch("[a-z][a-z0-9_]{0,50}", n)]
