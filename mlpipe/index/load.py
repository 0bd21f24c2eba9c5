"""A past result in hands: its model, its data, its curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlpipe.errors import NotFoundError
from mlpipe.index.shelf import open_shelf

if TYPE_CHECKING:
    import pandas as pd

    from mlpipe.records.record import Input, Record
    from mlpipe.stores.scoring import Bundle
    from mlpipe.stores.store import Store


@dataclass(frozen=True)
class Loaded:
    """A record and what belongs to it, each read when it is asked for. Made by `load`.

    Attributes
    ----------
    record
        The whole record: ``params``, ``metrics``, ``inputs``, ``code``, ``environment``, …
    evaluation
        Of a training, the record of its newest evaluation; None while there is none.
    store
        Where its objects lie.
    trusted
        Types that a model may hold besides those that mlpipe trusts.
    """

    record: "Record"
    evaluation: "Record | None"
    store: "Store"
    trusted: tuple[str | type, ...] = ()

    @property
    def params(self) -> dict[str, Any]:
        """Parameters, nested."""
        return self.record.params

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics by name; of a training those of its evaluation's test rows. Those of rivals are left out."""
        judged = self.record if self.evaluation is None else self.evaluation
        return {m.name: m.value for m in judged.metrics if m.split in ("", "test", "trial")}

    @cached_property
    def model(self) -> "Bundle":
        """The model: ``model.predict(frame)`` gives scores, ``model.estimator`` the fitted estimator.

        Of a training the one that it learned; of an evaluation or of predictions the one that they were made with.

        Raises
        ------
        NotFoundError
            The record has no model.
        BundleError
            It is damaged, or holds types that are not trusted.
        """
        held = [o.id for o in self.record.outputs]
        held += [i.id for i in self.record.inputs if i.name in ("bundle", "champion")]
        found = next((i for i in held if i.startswith("bundle-")), None)
        if found is None:
            raise self._nothing("no model", "Load a training, an evaluation or predictions.")
        return self.store.get_bundle(found, trusted=self.trusted)

    @cached_property
    def data(self) -> "dict[str, pd.DataFrame]":
        """Tables by name: those that the record made; of one that made none (a model) those that it read, partitions one after the other.

        Raises
        ------
        NotFoundError
            It neither made nor read tables.
        """
        made = {o.name: self.store.get_table(o.id) for o in self.record.outputs if o.id.startswith("table-")}
        return made or self.inputs

    @cached_property
    def inputs(self) -> "dict[str, pd.DataFrame]":
        """Tables that it read, by name, with the column ``_partition``.

        Raises
        ------
        NotFoundError
            It read none.
        """
        import pandas as pd

        read: dict[str, list[Input]] = {}
        for given in self.record.inputs:
            if given.id.startswith("table-"):
                read.setdefault(given.name, []).append(given)
        if not read:
            raise self._nothing("no tables", "Load a partition of data, or a model.")
        return {
            name: pd.concat(
                [self.store.get_table(i.id).assign(_partition=i.partition) for i in some], ignore_index=True
            )
            for name, some in read.items()
        }

    @cached_property
    def curves(self) -> "dict[str, pd.DataFrame]":
        """Curves by name, whole: a row for each step, with the column ``step``. Empty for a record without any."""
        import pandas as pd

        frames = {c.name: pd.DataFrame(self.store.get_json(c.id)) for c in self.record.curves}
        return {
            n: f[["step", *(c for c in f.columns if c != "step")]] if "step" in f else f
            for n, f in frames.items()
        }

    def _nothing(self, what: str, fix: str) -> NotFoundError:
        return NotFoundError(
            f"{self.record.asset} {self.record.partition} has {what}", where=self.record.id, fix=fix
        )

    def __repr__(self) -> str:
        return f"<{self.record.asset} {self.record.partition}, {self.record.verdict or 'recorded'}, {self.record.id[:16]}>"


def load(
    reference: str, *, store: str | None = None, ledger: str | None = None, trusted: Sequence[str | type] = ()
) -> Loaded:
    """A past result: its model, data and curves.

    Parameters
    ----------
    reference
        A record (its id or the first digits), ``flights@12``, ``flights@production``, the newest of a partition
        (``flights/features@2013-07-01``), or a Dagster run that learned one model.
    store
        Address of the store; default: ``$MLPIPE_STORE``, else ``$DAGSTER_HOME/mlpipe``, else ``./.mlpipe``.
    ledger
        Name of the chain of decisions that versions are looked up in; default: ``dev``.
    trusted
        Types that its model may hold besides those that mlpipe trusts: names such as ``churn.model.Scaler``, or the types themselves.

    Raises
    ------
    NotFoundError
        It means nothing, or several records; with those that are meant perhaps.
    """
    with open_shelf(store, ledger) as shelf:
        record = shelf.one(reference)
        evaluation = shelf.evaluation_of(record) if record.stage in ("train", "trial") else None
        return Loaded(record, evaluation, shelf.store, tuple(trusted))
