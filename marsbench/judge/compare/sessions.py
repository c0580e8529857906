"""The sessions of a run as columns, and the figures that are of sessions alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marsbench.core.runs import RunFolder
from marsbench.judge.compare.figures import goodput_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Statistic = Callable[[Floats, Floats], Floats]

TO_ALPHA = 10.0
"""Where the area under goodput against α ends: ten times as long as alone."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Those that users wait for, in order of their names; one entry each in every column.

    latency_s: NaN unless finished. slowdown: infinite unless finished, NaN without an ideal time.
    tokens: the longest context; NaN when no round was submitted.
    """

    names: tuple[str, ...]
    tenants: tuple[str, ...]
    latency_s: Floats
    slowdown: Floats
    tokens: Floats

    @property
    def known(self) -> bool:
        """Whether slowdowns can be counted at all: every finished session has an ideal time."""
        import numpy as np

        return bool(len(self.names)) and not np.isnan(self.slowdown).any()


def sessions_in(run: RunFolder) -> Sessions:
    """The sessions of a complete run, sub-agents apart."""
    import numpy as np

    table = run.table("sessions")
    own = table[table["parent"].isna()].sort_values("session")
    finished = (own["outcome"] == "finished").to_numpy()
    slowdown = own["slowdown"].to_numpy(dtype=float, na_value=np.nan)
    return Sessions(
        tuple(own["session"]),
        tuple(own["tenant"]),
        own["completion_s"].to_numpy(dtype=float, na_value=np.nan),
        np.where(finished, slowdown, np.inf),
        own["peak_tokens"].to_numpy(dtype=float, na_value=np.nan),
    )


def together(runs: Sequence[Sessions]) -> Sessions:
    """The sessions of several runs in one list."""
    import numpy as np

    def joined(column: str) -> Floats:
        return np.concatenate([getattr(run, column) for run in runs])

    return Sessions(
        tuple(name for run in runs for name in run.names),
        tuple(tenant for run in runs for tenant in run.tenants),
        joined("latency_s"),
        joined("slowdown"),
        joined("tokens"),
    )


def share_within(slowdown: Floats, alpha: float) -> Floats:
    """Along the last axis: the share of arrived sessions with this slowdown or less."""
    import numpy as np

    return np.asarray((slowdown <= alpha).mean(axis=-1))


def area(slowdown: Floats, to_alpha: float = TO_ALPHA) -> Floats:
    """The area under goodput against α from 1 on, ÷ its width: each session's part is exact.

    A session adds the stretch of α in which it is good; so the area is a mean over sessions.
    """
    import numpy as np

    good = (to_alpha - np.clip(slowdown, 1.0, to_alpha)) / (to_alpha - 1)
    return np.asarray(good.mean(axis=-1))


def statistics(alphas: Sequence[float]) -> Mapping[str, Statistic]:
    """Figures of (latency, slowdown) columns, the last axis a session each.

    They agree with metrics.goodput and metrics.percentiles; written once more for many draws at a
    time. A percentile of sessions of which some did not finish is of those that did.
    """
    import numpy as np

    def finished(slowdown: Floats) -> Floats:
        return np.where(np.isinf(slowdown), np.nan, slowdown)

    def percentile(q: float, column: int) -> Statistic:
        def of(latency: Floats, slowdown: Floats) -> Floats:
            chosen = (latency, finished(slowdown))[column]
            plain = not np.isnan(chosen).any()
            take = np.percentile if plain else np.nanpercentile
            return np.asarray(take(chosen, q, axis=-1))

        return of

    def within(alpha: float) -> Statistic:
        return lambda latency, slowdown: share_within(slowdown, alpha)

    return {
        **{goodput_name(alpha): within(alpha) for alpha in alphas},
        "goodput_area": lambda latency, slowdown: area(slowdown),
        "latency_mean_s": lambda latency, slowdown: np.nanmean(latency, axis=-1),
        **{f"latency_p{q}_s": percentile(q, 0) for q in (50, 90, 95, 99)},
        "slowdown_mean": lambda latency, slowdown: np.nanmean(finished(slowdown), axis=-1),
        **{f"slowdown_p{q}": percentile(q, 1) for q in (50, 90, 95, 99)},
    }
