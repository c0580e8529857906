"""One run of the sweep as a row of the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marsbench.judge.sweep.folder import Result
from studies.pages import results_of


@dataclass(frozen=True, slots=True)
class Row:
    """Shares of 1, seconds, blocks; None where it was not measured, or nothing was offloaded.

    steady_*: of the sessions that arrived in the steady window; drift: how its backlog grew, with
    the lower end of its interval.
    """

    workload: str
    load: float | None
    engine: str
    backend: str
    seed: int | None
    sessions: int
    goodput: float | None
    latency_s: float | None
    ttft_p50_s: float | None
    ttft_p99_s: float | None
    on_gpu: float | None
    from_host: float | None
    load_wait_s: float | None
    link_out: float | None
    dropped: int | None
    steady_goodput: float | None
    steady_latency_s: float | None
    drift: float | None
    drift_low: float | None

    @property
    def place(self) -> tuple[str, float | None]:
        return self.workload, self.load

    @property
    def ratio(self) -> float | None:
        """Host memory ÷ working set, of the rows that are plain eager LRU."""
        try:
            return float(self.engine)
        except ValueError:
            return None


def read(folder: Path) -> list[Row]:
    """Raises UsageError where the folder holds no complete run."""
    return [_row(result) for result in results_of(folder, "make host-kv")]


def _row(result: Result) -> Row:
    place, summary = result.place, result.summary
    goodput, steady = next(iter(summary["goodput"].values())), summary.get("steady")
    backlog = None if steady is None else steady["backlog"]
    ttft, hits = summary["ttft"]["ready"]["all"], summary["prefix_hit_rate"]
    copied = summary.get("host_kv")
    return Row(
        workload=place["workload"],
        load=place["load"],
        engine=place["engine"],
        backend=place["backend"],
        seed=place["seed"],
        sessions=summary["sessions"]["arrived"],
        goodput=goodput["share"],
        latency_s=summary["latency"]["mean"],
        ttft_p50_s=ttft["p50"],
        ttft_p99_s=ttft["p99"],
        on_gpu=hits["continuation"],
        from_host=hits["host_continuation"],
        load_wait_s=None if copied is None else copied["load_wait"]["mean"],
        link_out=None if copied is None else copied["out_busy_share"],
        dropped=None if copied is None else copied["dropped_blocks"],
        steady_goodput=None if steady is None else next(iter(steady["goodput"].values()))["share"],
        steady_latency_s=None if steady is None else steady["latency"]["mean"],
        drift=None if backlog is None else backlog["drift"],
        drift_low=None if backlog is None else backlog["drift_low"],
    )
