"""What is watched on one day: the window, the version that predicted it, and what both are compared with."""

from dataclasses import dataclass

from mlpipe.ledger.fold import State
from mlpipe.records.codec import Head
from mlpipe.records.record import Input
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion, opened
from mlpipe.stages.context import Context
from mlpipe.stages.outcomes import Outcomes
from mlpipe.stages.references import Profiles


@dataclass(frozen=True)
class Watch:
    """What is compared on one day: the window's heads, the champion and the anchor, and the grid.

    `before` is the monitor of the newest earlier partition that compared with the same version: alarms go on from there.
    """

    keys: tuple[str, ...]
    features: dict[str, Head]
    predictions: dict[str, Head]
    labels: dict[str, Head]
    champion: Champion
    anchor: Champion
    profiles: Profiles
    outcomes: Outcomes
    before: Head | None = None

    def inputs(self) -> tuple[Input, ...]:
        """Everything that is read."""
        read = [h.read("features") for h in self.features.values()]
        read += [h.read("predictions") for h in self.predictions.values()]
        read += [h.read("labels") for h in self.labels.values()]
        for name, version in (("champion", self.champion), ("anchor", self.anchor)):
            read.append(
                Input(
                    asset=f"{self.champion.model.pipeline}/model",
                    partition=version.model.partition,
                    record=version.model.id,
                    name=name,
                    id=version.version.bundle,
                )
            )
        return (*read, *(() if self.before is None else (self.before.seen(),)))


def watch_of(
    spec: PipelineSpec,
    key: str,
    versions: dict[int, Champion],
    state: State,
    profiles: Profiles | None,
    outcomes: Outcomes,
    ctx: Context,
) -> Watch | None:
    """What to compare; None without a champion or without features. `versions` are those that are open, and grows."""
    if state.champion is None or state.anchor is None or profiles is None:
        return None
    keys = (
        (*spec.partitions.before(key, spec.monitor.window - 1), key)
        if spec.partitions.every != "none"
        else (key,)
    )
    heads = {n: ctx.heads.find(f"{spec.name}/{n}", keys) for n in ("features", "predictions", "labels")}
    good = {n: {k: h for k, h in hs.items() if n in h.outputs} for n, hs in heads.items()}
    if not good["features"]:
        return None
    # Labels ripen after the champion may have changed: a partition is judged with the version that predicted it.
    predicted = good["predictions"].get(key)
    number = (predicted.data or {}).get("version") if predicted is not None else None
    version = state.versions.get(number, state.champion) if number is not None else state.champion
    if version.number not in versions:
        opened_version = opened(spec, version, ctx)
        assert opened_version is not None
        versions[version.number] = opened_version
    return Watch(
        keys,
        good["features"],
        good["predictions"],
        good["labels"],
        versions[version.number],
        versions[state.anchor.number],
        profiles,
        outcomes,
        _before(spec, key, version.number, ctx),
    )


def _before(spec: PipelineSpec, key: str, version: int, ctx: Context) -> Head | None:
    """Another version is compared with other data: its alarms say nothing, and a gap longer than the window ends them."""
    if spec.partitions.every == "none":
        return None
    keys = spec.partitions.before(key, spec.monitor.window)
    heads = ctx.heads.find(f"{spec.name}/monitor", keys)
    told = [heads[k] for k in keys if k in heads and "marks" in (heads[k].data or {})]
    return told[-1] if told and (told[-1].data or {}).get("version") == version else None
