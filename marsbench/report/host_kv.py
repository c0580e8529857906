"""What vLLM's own offloading to host memory did, where runs have it."""

from __future__ import annotations

from collections.abc import Iterator

from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Place
from marsbench.report.material import Material, Regime
from marsbench.report.tables import load_of
from marsbench.text.numbers import percent, short
from marsbench.text.tables import Table

TEXT = (
    "vLLM's own offloading (`--host-kv`): where the prompts of later rounds were found, what the "
    "link carried, and who waited for it. What was found in neither memory was computed."
)
ON_GPU, FROM_HOST = Figure("hit_rate"), Figure("host_hit_rate")
COLUMNS = {
    Figure("host_stored_gb"): "out, GB",
    Figure("link_out_busy_share"): "lane busy",
    Figure("host_loaded_gb"): "in, GB",
    Figure("link_in_busy_share"): "lane busy",
    Figure("load_wait_mean_s"): "wait, s",
    Figure("host_dropped_per_s"): "dropped/s",
    Figure("host_under_way"): "left",
}


def tables(material: Material) -> Iterator[Table]:
    """One of each regime; nothing where no run has host memory that copied something."""
    for regime in material.regimes:
        rows = tuple(_rows(material, regime))
        if rows:
            caption = (
                f"{regime.title}: host KV, means over seeds. Shares: of the prompt tokens of later "
                "rounds. Busy: of the run. Wait: of a load, from admission, part of TTFT. Dropped: "
                "blocks that host memory evicted. Left: copies under way at the run's end."
            )
            head = ("load", "backend", "on GPU", "from host", "computed", *COLUMNS.values())
            yield Table(head, rows, "llr", caption)


def _rows(material: Material, regime: Regime) -> Iterator[tuple[str, ...]]:
    value = material.matrix.value
    for place in regime.places:
        for name in material.looks:
            if value(place, name, Figure("host_stored_gb")) is not None:
                cells = (_cell(value(place, name, figure), figure) for figure in COLUMNS)
                yield load_of(place), name, *_found(material, place, name), *cells


def _found(material: Material, place: Place, name: str) -> tuple[str, str, str]:
    """Where the tokens of later prompts were: on the GPU, in host memory, nowhere."""
    gpu, host = (material.matrix.value(place, name, figure) for figure in (ON_GPU, FROM_HOST))
    computed = None if gpu is None or host is None else 1 - gpu - host
    return percent(gpu, 1), percent(host, 1), percent(computed, 1)


def _cell(value: float | None, figure: Figure) -> str:
    return percent(value, 1) if figure.is_share else short(value)
