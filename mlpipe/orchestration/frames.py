"""The IO manager through which a user's own asset downstream receives features and predictions as frames."""

from collections.abc import Sequence

import dagster as dg
import pandas as pd

from mlpipe.errors import MlpipeError, NotFoundError
from mlpipe.orchestration.events import DagsterHeads
from mlpipe.orchestration.runtime import now, open_store, store_url
from mlpipe.spec.calendar import WHOLE
from mlpipe.spec.pipeline import PipelineSpec

READABLE = {"features": "features", "labels": "labels", "predictions": "predictions", "monitor": "drift"}
PARTITION = "partition"


class FramesIOManager(dg.IOManager):
    """Loads a pipeline's tables.

    One partition gives a frame; several give one frame with the column ``partition``, or a mapping from key to frame where the input is
    annotated as a `dict`.
    """

    def __init__(self, spec: PipelineSpec) -> None:
        self._spec = spec

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Stages put what they make into the store themselves; nothing is left to write."""
        if obj is not None:
            raise MlpipeError(
                "an mlpipe asset returned a value",
                where=str(context.asset_key.to_user_string()),
                fix="Yield records from 'execute'.",
            )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The frame of an asset, or its frames by partition.

        Raises
        ------
        NotFoundError
            When a partition was never materialized, or holds no table (it failed validation).
        """
        asset = context.asset_key.to_user_string()
        name = context.asset_key.path[-1]
        if name not in READABLE:
            raise MlpipeError(
                f"{asset} holds no frame to load",
                fix=f"Depend on it with 'deps', or load one of: {', '.join(READABLE)}.",
            )
        keys: Sequence[str] = context.asset_partition_keys if context.has_asset_partitions else [WHOLE]
        heads = DagsterHeads(context.instance, "", now().timestamp()).find(asset, list(keys))
        store = open_store(store_url(self._spec))
        frames: dict[str, pd.DataFrame] = {}
        for key in keys:
            head = heads.get(key)
            if head is None:
                raise NotFoundError(
                    f"{asset} has no partition {key}",
                    fix=f"Materialize it first: mlpipe run {self._spec.name} --from {key} --to {key}",
                )
            if READABLE[name] in head.outputs:
                frames[key] = store.get_table(head.outputs[READABLE[name]].id)
            elif len(keys) == 1:
                raise NotFoundError(
                    f"{asset} {key} holds no rows: its verdict is '{head.verdict}'",
                    fix=f"Release a model first: mlpipe run {self._spec.name} --from … --train-at …"
                    if head.verdict == "no_champion"
                    else "Look at its validation, or skip the partition.",
                )
        if len(keys) == 1:
            return frames[keys[0]]
        if (
            context.dagster_type.typing_type is dict
            or getattr(context.dagster_type.typing_type, "__origin__", None) is dict
        ):
            return frames
        return (
            pd.concat([f.assign(**{PARTITION: k}) for k, f in frames.items()], ignore_index=True)
            if frames
            else pd.DataFrame()
        )
