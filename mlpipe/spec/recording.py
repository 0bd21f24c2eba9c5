"""What a team asks of every record: tags, metrics, and how names are formed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from mlpipe.errors import Finding
from mlpipe.spec.modeling import Metrics
from mlpipe.spec.nodes import KeyPath, Names, Node, Wrong, once


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"pattern {text!r} is no regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
_TAG_KEY = re.compile(r"(?!mlpipe/|dagster/)([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}")


class Patterns(Node):
    """Regular expressions that whole names must match."""

    experiment: Pattern | None = Field(
        default=None, description="regular expression of an experiment's name, where there is one"
    )
    tags: dict[str, Pattern] = Field(
        default={}, description="regular expression of a tag's value, by the tag's name, where it is given"
    )


class Required(Node):
    """What every record must have; checked before any work."""

    tags: Annotated[Names, once(lambda n: f"the tag {n!r} is named more than once")] = Field(
        default=(), description="tags that must be given, by the pipeline's 'tags' or by the run"
    )
    metrics: Metrics = Field(default=(), description="metrics that must be reported")
    names: Patterns = Patterns()


class Recording(Node):
    """What a team asks of every record of a pipeline."""

    require: Required = Required()

    def unmet(self, experiment: str, tags: Mapping[str, str]) -> list[Finding]:
        """What is missing or wrongly named in a run.

        Parameters
        ----------
        experiment
            Name of the run's experiment; empty for none.
        tags
            Those of the pipeline and of the run together.
        """
        return [Finding(text, where) for where, text in self._unmet(experiment, tags)]

    def _unmet(self, experiment: str, tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        asked = self.require
        for name in asked.tags:
            if not tags.get(name):
                yield f"tag {name}", "it is required, and not given"
        yield from wrong_tags(asked.names.tags, tags)
        pattern = asked.names.experiment
        if experiment and pattern is not None and not re.fullmatch(pattern, experiment):
            yield "experiment", f"{experiment!r} does not match {pattern!r}"


def owned(owners: tuple[str, ...]) -> tuple[str, ...]:
    """Validator of owners: e-mail addresses and teams."""
    wrong = [o for o in owners if not (_EMAIL.fullmatch(o) or re.fullmatch(r"team:.+", o))]
    if wrong:
        texts = f"owner {wrong[0]!r} is neither an e-mail address nor a team such as 'team:growth'"
        raise ValueError(texts if len(wrong) == 1 else f"{texts}, and {len(wrong) - 1} more")
    return owners


def tagged(tags: dict[str, str]) -> dict[str, str]:
    """Validator of tags: keys and values that Dagster takes, and that are not its own."""
    wrong: list[tuple[KeyPath, str]] = []
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key):
            wrong.append(((key,), f"tag key {key!r} must be letters, digits, '_', '-', '.', at most 63"))
        if not _TAG_VALUE.fullmatch(value):
            wrong.append(((key,), f"tag value {value!r} must be letters, digits, '_', '-', '.', at most 63"))
    if wrong:
        raise Wrong(*wrong)
    return tags


def wrong_tags(patterns: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Tags whose values do not match their pattern: where, and the sentence."""
    for name, pattern in patterns.items():
        value = tags.get(name)
        if value and not re.fullmatch(pattern, value):
            yield f"tag {name}", f"{value!r} does not match {pattern!r}"


def unreported(required: Sequence[str], reported: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
    """Positions and names of required metrics that are not reported, whichever of the possible lists of metrics it comes to."""
    for i, name in enumerate(required):
        if any(name not in names for names in reported):
            yield i, name
