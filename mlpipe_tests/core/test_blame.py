"""Whose code raised."""

import json

import pandas as pd
import pytest

from mlpipe.core.blame import users_line
from mlpipe.errors import DataError
from mlpipe.stores.scoring import cast


def raises() -> None:
    json.loads("{")


def test_the_innermost_line_of_the_users_own_is_named() -> None:
    with pytest.raises(ValueError, match="property name") as caught:
        raises()
    line = raises.__code__.co_firstlineno + 1
    assert users_line(caught.value) == f"{__file__}:{line}"


def test_an_error_within_packages_alone_is_nobodys() -> None:
    with pytest.raises(DataError) as caught:
        cast(pd.DataFrame(), (("a", "float64"),))
    trace = caught.value.__traceback__
    assert trace is not None and users_line(caught.value).startswith(__file__)
    # Below this frame there is only mlpipe's own code.
    assert users_line(caught.value.with_traceback(trace.tb_next)) == ""
