"""How far features and scores of the window have moved from what the champion learned from, and from the anchor."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlpipe.core.abreast import together
from mlpipe.core.alarming import Reading, Rule, Standing, adjusted, after
from mlpipe.core.drift import MAJOR, ColumnDrift, check, compare
from mlpipe.core.grid import Grid
from mlpipe.core.profile import profile
from mlpipe.core.profile_codec import from_bytes
from mlpipe.records.codec import Head
from mlpipe.records.record import Found, MetricValue
from mlpipe.spec.pipeline import PipelineSpec
from mlpipe.stages.champions import Champion
from mlpipe.stages.context import Context
from mlpipe.stages.frames import stacked
from mlpipe.stages.references import Reference
from mlpipe.stages.runner import stored
from mlpipe.stages.watching.section import Section
from mlpipe.stages.watching.subject import Watch

SCORE = "score"
MOST_COLUMNS = 30
"""So many PSIs are kept where a policy reads them, the greatest first; the table has all."""
FEW = 5
"""So many of the worst columns have all their measures there."""
MEASURES = ("psi", "ks", "js", "kl", "hellinger", "wasserstein", "wasserstein_sd", "cramers_v", "chi2")
"""Effect sizes of the table, in order, and the statistic of the chi-squared test."""


@dataclass(frozen=True)
class Moved:
    """Drift of the features: against the champion's reference, and the anchor's.

    `raised` are the watched columns that are over on this day, the worst first; `standing` is what persists.
    """

    drifts: dict[str, ColumnDrift]
    fixed: dict[str, ColumnDrift]
    limits: dict[str, float]
    watched: list[str]
    raised: tuple[str, ...]
    standing: Standing
    reference: Reference

    @property
    def worst(self) -> ColumnDrift | None:
        """The watched column with the greatest PSI."""
        known = [self.drifts[n] for n in self.watched if n in self.drifts]
        return max((d for d in known if np.isfinite(d.psi)), key=lambda d: d.psi, default=None)


def section(spec: PipelineSpec, key: str, watch: Watch, ctx: Context) -> Section:
    """Drift of features and scores over the window."""
    moved = features(spec, watch)
    score = score_drift(watch, watch.champion, ctx)
    same = watch.anchor.number == watch.champion.number
    score_fixed = score if same else score_drift(watch, watch.anchor, ctx)
    limits, watched = moved.limits, moved.watched
    return Section(
        metrics=tuple(_metrics(moved, score, score_fixed)),
        findings=tuple(_finding(spec, moved.drifts[n], limits.get(n, MAJOR)) for n in moved.raised),
        data={
            "alarms": list(moved.raised),
            "thresholds": {n: limits.get(n) for n in watched},
            "chances": {n: _known(moved.drifts[n].p) for n in watched if n in moved.drifts},
            "score_chance": _known(score.chi2_p) if score is not None else None,
            "not_watched": {
                n: moved.reference.excluded.get(n, "not in 'watch'")
                for n in watch.champion.bundle.feature_names
                if n not in watched
            },
        },
        head=_head(moved, score),
        outputs=(stored(ctx.store, "drift", _table(moved)),),
        sentence=_sentence(spec, watch, moved, score),
    )


def fixed_limit(spec: PipelineSpec) -> float | None:
    """The PSI that the retraining policy names for every column; None where each column has its own, calibrated."""
    drift = spec.retrain.drift if spec.retrain is not None else None
    return drift if isinstance(drift, float) else None


def features(spec: PipelineSpec, watch: Watch) -> Moved:
    """Drift of the features: days are summed side by side, and measured in one go."""
    names, profiles = watch.champion.bundle.feature_names, watch.profiles
    columns = tuple(n for n in names if n in profiles.grid.columns)
    reference = profiles.reference(watch.champion)
    limit = fixed_limit(spec)
    limits = dict(reference.thresholds) if limit is None else dict.fromkeys(names, limit)
    found = []
    for version in (watch.champion, watch.anchor):
        base = profiles.basis(version, columns)
        days = [
            profiles.abreast(base, h.outputs["features"].id, (h.data or {})["features"])
            for h in watch.features.values()
        ]
        found.append(check(base, together(days)))
    drifts, fixed = found
    watched = _watched(spec, names, reference)
    day = readings(spec, {n: drifts[n] for n in watched if n in drifts}, limits)
    raised = sorted((n for n, r in day.items() if r.effect >= 1), key=lambda n: (-day[n].effect, n))
    standing = after(stood(watch.before, watched), day, dict.fromkeys(day, 1.0), rule_of(spec))
    return Moved(drifts, fixed, limits, watched, tuple(raised), standing, reference)


def rule_of(spec: PipelineSpec) -> Rule:
    """The rule of alarms; without partitions there is one day only, and it decides."""
    asked = spec.monitor.alarms
    if spec.partitions.every == "none":
        return Rule(asked.rate, 1, 1, asked.close)
    return Rule(asked.rate, asked.days, asked.of, asked.close)


def readings(
    spec: PipelineSpec, drifts: Mapping[str, ColumnDrift], limits: Mapping[str, float]
) -> dict[str, Reading]:
    """What each column shows, in units of its limit: its PSI, its new nulls and its unseen categories, whichever is furthest."""
    asked = spec.monitor.alarms
    out = {}
    for name, d in drifts.items():
        parts = (
            d.psi / limits.get(name, MAJOR),
            d.null_rate_change / asked.new_nulls,
            d.unseen_rate / asked.unseen,
        )
        known = [part for part in parts if np.isfinite(part)]
        unknown = not np.isfinite(d.psi)
        out[name] = Reading(float("nan") if unknown else max(0.0, *known), d.p)
    return out


def told(head: Head, up: str = "drifted", marks: str = "marks") -> dict[str, Any]:
    """What a day says of its alarms, under these names."""
    data = head.data or {}
    return {up: sorted(data.get(up) or []), marks: dict(data.get(marks) or {})}


def stood(
    before: Head | None, watched: Collection[str] | None, up: str = "drifted", marks: str = "marks"
) -> Standing:
    """Where alarms stood the day before; what is watched no longer has none. None: all that had one is watched."""
    if before is None:
        return Standing()
    then = told(before, up, marks)
    return Standing(
        frozenset(n for n in then[up] if watched is None or n in watched),
        {n: m for n, m in then[marks].items() if watched is None or n in watched},
    )


def watched_columns(spec: PipelineSpec, watch: Watch) -> list[str]:
    """Features of the version that may raise an alarm."""
    return _watched(spec, watch.champion.bundle.feature_names, watch.profiles.reference(watch.champion))


def _watched(spec: PipelineSpec, names: Sequence[str], reference: Reference) -> list[str]:
    """Features that may raise an alarm: those asked for, else all that are not excluded."""
    return [
        n for n in names if (n in spec.monitor.watch if spec.monitor.watch else n not in reference.excluded)
    ]


def score_drift(watch: Watch, version: Champion, ctx: Context) -> ColumnDrift | None:
    """Drift of the window's scores from a version's scores on its validation rows; None without predictions."""
    outputs = {o.name: o for o in version.model.outputs}
    if not watch.predictions or "score_profile" not in outputs:
        return None
    grid = Grid.from_bytes(ctx.store.get_bytes(outputs["score_grid"].id))
    reference = from_bytes(ctx.store.get_bytes(outputs["score_profile"].id))
    frames = [
        ctx.store.get_table(h.outputs["predictions"].id, columns=[SCORE]) for h in watch.predictions.values()
    ]
    return compare(grid, reference, profile(stacked(frames), grid), [SCORE])[SCORE]


def _head(moved: Moved, score: ColumnDrift | None) -> dict[str, Any]:
    """What a policy or a table needs of the day, without opening the record."""
    worst = moved.worst
    known = [n for n in moved.watched if n in moved.drifts and np.isfinite(moved.drifts[n].psi)]
    shown = sorted(known, key=lambda n: -moved.drifts[n].psi)[:MOST_COLUMNS]
    # The calibrated ones, whatever limit the policy of the pipeline names: other policies are tried on these heads.
    thresholds = moved.reference.thresholds
    return {
        "alarms": list(moved.raised)[:50],
        "drifted": sorted(moved.standing.up),
        "marks": dict(moved.standing.marks),
        "worst": worst.column if worst else None,
        "worst_psi": worst.psi if worst else None,
        "watched": len(moved.watched),
        "psi": {n: [moved.drifts[n].psi, thresholds.get(n, MAJOR)] for n in shown},
        "measures": {n: _few(moved.drifts[n]) for n in shown[:FEW]},
        "score_psi": _known(score.psi) if score is not None else None,
    }


def _few(drift: ColumnDrift) -> dict[str, float | None]:
    return {m: _known(getattr(drift, m)) for m in ("psi", "ks", "js", "wasserstein_sd", "cramers_v", "p")}


def _known(value: float) -> float | None:
    """A head holds no nan."""
    return value if np.isfinite(value) else None


def _finding(spec: PipelineSpec, drift: ColumnDrift, threshold: float) -> Found:
    asked, parts = spec.monitor.alarms, []
    if drift.psi >= threshold:
        parts.append(f"PSI {drift.psi:.3f} is above its threshold {threshold:.3f} ({drift.band})")
    if drift.null_rate_change >= asked.new_nulls:
        parts.append(f"nulls are up by {drift.null_rate_change:.1%} of the rows")
    if drift.unseen_rate >= asked.unseen:
        parts.append(f"{drift.unseen_rate:.1%} of the rows have a category never seen before")
    return Found(what="; ".join(parts), where=f"feature {drift.column}")


def _metrics(moved: Moved, score: ColumnDrift | None, score_fixed: ColumnDrift | None) -> list[MetricValue]:
    nan = float("nan")
    watched = [n for n in moved.watched if n in moved.fixed and np.isfinite(moved.fixed[n].psi)]
    named = {
        ("worst_psi", "drift"): moved.worst.psi if moved.worst else nan,
        ("score_psi", "drift"): score.psi if score else nan,
        ("drifted_share", "drift"): len(moved.raised) / len(moved.watched) if moved.watched else 0.0,
        ("worst_psi", "anchor"): max((moved.fixed[n].psi for n in watched), default=nan),
        ("score_psi", "anchor"): score_fixed.psi if score_fixed else nan,
    }
    if score is not None:
        measured = ("js", "ks", "kl", "hellinger", "wasserstein", "cramers_v")
        named |= {(f"score_{m}", "drift"): getattr(score, m) for m in measured}
    out = [MetricValue(name=n, value=v, better="lower", split=split) for (n, split), v in named.items()]
    return out + [
        MetricValue(name=n, value=d.psi, better="lower", split="psi") for n, d in moved.drifts.items()
    ]


def _table(moved: Moved) -> pd.DataFrame:
    """A row a column: effect sizes, and beside them what chance alone makes of as many rows."""
    p = {n: d.p for n, d in moved.drifts.items()}
    q = adjusted({n: p[n] for n in moved.watched if n in p})
    nan = float("nan")
    return pd.DataFrame(
        [
            {
                "feature": n,
                "psi": d.psi,
                "threshold": moved.limits.get(n, nan),
                "watched": n in moved.watched,
                "alarm": n in moved.raised,
                "persists": n in moved.standing.up,
                "band": d.band,
                **{m: getattr(d, m) for m in MEASURES[1:]},
                "ks_p": d.ks_p,
                "chi2_p": d.chi2_p,
                "p": p[n],
                "p_adjusted": q.get(n, nan),
                "null_rate_change": d.null_rate_change,
                "unseen_rate": d.unseen_rate,
                "anchor_psi": moved.fixed[n].psi,
            }
            for n, d in moved.drifts.items()
        ]
    )


def named(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    rest = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {rest} more" if rest > 0 else "")


def _sentence(spec: PipelineSpec, watch: Watch, moved: Moved, score: ColumnDrift | None) -> str:
    up, worst = sorted(moved.standing.up), moved.worst
    these = f" ({named(up)})" if up else ""
    parts = [
        f"`{spec.name}@{watch.champion.number}`: **{len(up)}** of {len(moved.watched)} watched features drift{these}"
    ]
    odd = [n for n in moved.raised if n not in moved.standing.up]
    if odd:
        parts.append(f"{named(odd)} over {'its limit' if len(odd) == 1 else 'their limits'}, which may pass")
    if worst is not None:
        limit = moved.limits.get(worst.column, float("nan"))
        parts.append(f"worst {worst.column} PSI {worst.psi:.3f} (threshold {limit:.3f})")
    if score is not None and np.isfinite(score.psi):
        parts.append(f"score PSI {score.psi:.3f}")
    return "; ".join(parts)
