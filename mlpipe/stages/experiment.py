"""Trial: a variant of a partition's model, learned and judged as `model` and `evaluation` would, and mixed with neither.

It composes their plans. What passes between them stays within the trial: no head of a trial shows as a model, nothing is compared with the
champion (so that a trial says the same whoever is in production), and nothing is registered.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from mlpipe.ledger.chain import Ledger
from mlpipe.ledger.fold import State, fold
from mlpipe.records.codec import HEAD_DATA, Head
from mlpipe.records.record import Found
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages import evaluate, train
from mlpipe.stages.context import Context, Heads
from mlpipe.stages.judging.asked import functions_of
from mlpipe.stages.runner import Plan, Result, Stage
from mlpipe.stages.variants import Variant

NAME, ASSET, VERSION = "trial", "trial", "1"
CHANGES = "set"
"""Key of a trial's data: what was changed, by dotted name."""


class _Apart:
    """Heads as a trial sees them: those of the run, features without those that it leaves out, and its own model."""

    def __init__(self, heads: Heads, spec: PipelineSpec, excluded: Sequence[str]) -> None:
        self._heads, self._excluded = heads, set(excluded)
        self._features = f"{spec.name}/features"
        self._own: dict[tuple[str, str], Head] = {}

    def find(self, asset: str, keys: Sequence[str]) -> Mapping[str, Head]:
        """Heads of the keys that have one; the trial's own before the run's."""
        own = {k: self._own[asset, k] for k in keys if (asset, k) in self._own}
        found = dict(self._heads.find(asset, keys))
        if asset == self._features and self._excluded:
            found = {k: self._without(h) for k, h in found.items()}
        return {**found, **own}

    def add(self, head: Head) -> None:
        """Take note of the trial's own."""
        self._own[head.asset, head.partition] = head

    def _without(self, head: Head) -> Head:
        data = dict(head.data or {})
        names = [n for n in data.get("features", ()) if n not in self._excluded]
        return replace(head, data={**data, "features": names})


class _Undecided(Ledger):
    """A chain in which nothing was decided yet: a trial is judged beside baselines alone."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(
            ledger.backend, ledger.pipeline, segment=ledger.segment, deployment=ledger.deployment
        )

    def state(self, *, as_of: datetime | None = None, known_at: datetime | None = None) -> State:
        return fold(())


def trial_stage(variant: Variant) -> Stage:
    """The stage that tries a variant; it is run with the variant's own specification."""
    return Stage(NAME, ASSET, VERSION, partial(plans, variant))


def judged_by(spec: PipelineSpec) -> PipelineSpec:
    """The specification that a trial is judged by: without what only a challenger is asked."""
    return spec.model_copy(update={"gates": tuple(g for g in spec.gates if g.kind != "beats_champion")})


def plans(variant: Variant, spec: PipelineSpec, keys: Sequence[str], ctx: Context) -> Iterator[Plan]:
    """A plan a partition: what its training decides, and by what it is judged."""
    inner = replace(ctx, heads=_Apart(ctx.heads, spec, variant.excluded), ledger=_Undecided(ctx.ledger))
    judged = judged_by(spec)
    settings = {
        "metrics": spec.metrics,
        "gates": [g.to_plain() for g in judged.gates],
        "blocks": spec.clustered_by,
        "bootstrap": spec.bootstrap,
        **spec.measures.to_plain(),
    }
    for plan in train.plans(spec, keys, inner):
        yield replace(
            plan,
            work=partial(_work, variant, judged, plan, inner),
            params={**plan.params, "judged": settings},
            functions=tuple(dict.fromkeys((*plan.functions, *functions_of(judged)))),
            seeds={**plan.seeds, "bootstrap": spec.seed},
            # Two ways to ask for the same share a recipe, and each record says how it was asked.
            data={CHANGES: variant.changes},
        )


def _work(variant: Variant, spec: PipelineSpec, plan: Plan, ctx: Context) -> Result:
    learned = plan.work()
    if "bundle" not in {o.name for o in learned.outputs}:
        return learned
    head = Head(
        asset=f"{spec.name}/model",
        partition=plan.key,
        record="",
        outputs={o.name: o for o in learned.outputs},
        verdict=learned.verdict,
        data=learned.data[HEAD_DATA],
    )
    ctx.heads.add(head)
    (judging,) = evaluate.plans(spec, [plan.key], ctx)
    return _together(variant, learned, judging.work())


def _together(variant: Variant, learned: Result, judged: Result) -> Result:
    told = {k: v for k, v in judged.data.items() if k not in (HEAD_DATA, "model_record", "bundle")}
    small = {"primary": told.get("primary")}
    left_out: tuple[Found, ...] = ()
    if variant.excluded:
        what = f"left out for this trial: {', '.join(variant.excluded)}; a rule of your own is not compared"
        left_out = (Found(what=what, where="features"),)
    return Result(
        outputs=(*learned.outputs, *judged.outputs),
        metrics=(*judged.metrics, *learned.metrics),
        verdict=judged.verdict,
        findings=(*left_out, *learned.findings, *judged.findings),
        data={**learned.data, "judged": told, HEAD_DATA: small},
        params={**learned.params, **judged.params},
        curves=(*learned.curves, *judged.curves),
        artifacts=(*learned.artifacts, *judged.artifacts),
        headline=f"Trial: {judged.headline}",
        plots={**learned.plots, **judged.plots},
    )
