"""Tables of a report: what a comparison says, as rows of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from marsbench.judge.compare.caps import by_backend, in_words
from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.ranking import LEVEL_GOODPUT, LEVEL_LATENCY
from marsbench.judge.compare.show import tenants as of_tenants
from marsbench.judge.compare.tally import Carrier, tally
from marsbench.judge.compare.values import Fairness, RunSource
from marsbench.judge.compare.winners import WORST, turning_places, winners_table
from marsbench.judge.paper.part_tables import decisions
from marsbench.judge.paper.systems import WHOLES
from marsbench.report.material import Material, Regime, sheets
from marsbench.text.numbers import UNMEASURED, count, percent, short
from marsbench.text.tables import Table
from marsbench.text.words import each, gpu_in, listed

ABREAST = 5
"""Places beside each other in a table of cells of three numbers."""


def setup(material: Material) -> Table:
    """What ran on what."""
    sources = material.comparison.sources
    facts = {
        "runs": _runs(material),
        "workloads": listed(sorted({s.place.workload for s in sources})),
        "sessions a run": _each_of(s.sessions for s in sources),
        "arrivals": _each_of(s.workload_meta.get("arrivals") for s in sources),
        "tools": _each_of(s.workload_meta.get("tools") for s in sources),
        "seeds": _each_of(s.seed for s in sources),
        "goodput at α": ", ".join(f"{alpha:g}" for alpha in material.comparison.alphas),
        "played by": _each_of({"sim": "simulator"}.get(s.engine, s.engine) for s in sources),
        "model": _each_of(s.hardware.get("model") for s in sources),
        "GPU": _each_of(_gpu(s) for s in sources),
        "KV cache": _each_of(_cache(s) for s in sources),
        "step times": _each_of(s.hardware.get("step_times") for s in sources),
        "engine": _each_of(_engine(s) for s in sources),
        "replicas": _each_of(s.place.fleet or None for s in sources),
        "tool host": _each_of(_host(s) for s in sources),
        "code": _each_of(s.code for s in sources),
        "versions": _each_of(material.versions),
    }
    rows = tuple((name, value) for name, value in facts.items() if value)
    return Table(("", ""), rows, "l", "Setup and provenance.")


def _runs(material: Material) -> str:
    comparison = material.comparison
    invalid = sum(not source.valid for source in comparison.sources)
    parts = [
        f"{len(comparison.sources):,}",
        f"{count(len(comparison.backends), 'backend')} × {count(len(comparison.places), 'place')}",
        f"{invalid} not valid" if invalid else "all valid",
    ]
    return ", ".join(parts)


def _each_of(values: Iterable[object]) -> str:
    """Every value once; "a (most), b" is told only where values are few."""
    return listed(each([str(value) for value in values if value is not None]), most=4)


def _gpu(source: RunSource) -> str | None:
    hardware = source.hardware
    if not hardware:
        return None
    kv = hardware.get("kv_dtype")
    stored = hardware.get("precision") if kv is None else f"{hardware.get('precision')}, {kv} KV"
    return f"{gpu_in(hardware)} ({stored})"


def _cache(source: RunSource) -> str | None:
    size, blocks = source.settings.get("block_size"), source.settings.get("kv_blocks")
    if size is None or blocks is None:
        return None
    return f"{size * blocks:,} tokens in blocks of {size}"


def _engine(source: RunSource) -> str | None:
    settings = source.settings
    budget, most = settings.get("max_num_batched_tokens"), settings.get("max_num_seqs")
    if budget is None:
        return None
    return f"{source.place.engine}: {budget:,} tokens a step, {most} sequences"


def _host(source: RunSource) -> str | None:
    cores = source.settings.get("tool_cores")
    return None if cores is None else f"{cores} cores"


def backends(material: Material) -> Table:
    """Who was compared: each label with what it is and what was set."""
    runs: dict[str, list[RunSource]] = {}
    for source in material.comparison.sources:
        runs.setdefault(source.backend, []).append(source)
    plain = {label: own[0].params for label, own in runs.items() if label == own[0].name}
    capped = by_backend(material.comparison.caps)
    rows = tuple(
        (label, runs[label][0].name,
         in_words(capped[label]) if label in capped else _set(runs[label], plain))
        for label in material.looks
    )  # fmt: skip
    caption = (
        "Backends. Parameters: those that differ from the backend's own run; of one run alone, the "
        "first few (`marsbench backends NAME` tells all)."
    )
    return Table(("label", "backend", "parameters"), rows, "l", caption)


def _set(sources: Sequence[RunSource], plain: Mapping[str, Mapping[str, Any]]) -> str:
    first = sources[0]
    own = plain.get(first.name)
    if first.backend != first.name and own is not None:
        chosen = [k for k, v in first.params.items() if own.get(k) != v]
        return ", ".join(_told(name, sources) for name in chosen) or "as the backend"
    return listed([_told(name, sources) for name in first.params], most=3) or "none"


def _told(name: str, sources: Sequence[RunSource]) -> str:
    """A parameter, with all its values where the runs of one backend differ in it."""
    values = each([_value(source.params.get(name)) for source in sources])
    return f"{name}={values[0]}" if len(values) == 1 else f"{name}={'|'.join(values)} by run"


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value).lower()


def fairness(material: Material) -> Iterator[Table]:
    """Jain's index, the worst slowdown and the starved, where each regime's load is highest."""
    found = {(row.place, row.backend): row for row in material.comparison.fairness}
    caption = (
        "Fairness at each workload's highest load, seeds pooled: Jain's index of slowdown over "
        "sessions (1: all fare alike) · worst slowdown · starved sessions (never finished, or over "
        "ten times as long as alone)."
    )
    for regimes in sheets(material.regimes, ABREAST):
        rows = tuple(
            (name, *(_fair(found.get((regime.heaviest, name))) for regime in regimes))
            for name in material.contenders
        )
        titles = (material.matrix.title(regime.heaviest) for regime in regimes)
        yield Table(("backend", *titles), rows, caption=caption)


def tenants(material: Material) -> Iterator[Table]:
    """Each tenant at each regime's highest load, where its workload has several."""
    for regime in material.regimes:
        place = regime.heaviest
        if any(row.place == place for row in material.comparison.tenants):
            caption = (
                f"Tenants, {material.matrix.title(place)}, seeds pooled. Service: share of all "
                "prompt tokens and twice the output tokens, in brackets the tenths of the run in "
                "which it is lowest and highest."
            )
            yield of_tenants(material.comparison, place, caption)


def _fair(row: Fairness | None) -> str:
    if row is None:
        return UNMEASURED
    return f"{short(row.jain_sessions)} · {times_short(row.worst_slowdown)} · {row.starved}"


def times_short(value: float | None) -> str:
    """A slowdown: 5.2×; 1,234×."""
    return UNMEASURED if value is None else f"{short(value)}×"


def winners(material: Material, among: Sequence[str]) -> Table:
    """Who of those wins at every place, by goodput at each α and by the worst slowdown."""
    measures = (*(Figure("goodput", alpha) for alpha in sorted(material.comparison.alphas)), WORST)
    caption = (
        "Who wins by which measure, of the backends that one could run; means over seeds. Level: "
        f"within {LEVEL_GOODPUT:.0%} of sessions, or {LEVEL_LATENCY:.0%} of the worst slowdown. "
        f"{turning_places(material.matrix, among, measures)}"
    )
    return replace(winners_table(material.matrix, among, measures), caption=caption)


def decided(material: Material) -> Iterator[Table]:
    """How often each part of MARS decided something, in a run of the whole, place by place."""
    for mars in WHOLES:
        table = decisions(material.matrix, mars)
        if any(cell != UNMEASURED for row in table.rows for cell in row[1:]):
            caption = (
                f"How often the parts of {mars} decided something, in a run; means over seeds. Of "
                "how many: how often there was something to decide (docs/metrics.md)."
            )
            yield replace(table, caption=caption)


def held(material: Material) -> Table:
    """Whether the ranking held under what a sweep varies."""
    rows = tuple(
        (material.matrix.title(row.base), material.matrix.title(row.other), row.verdict,
         ", ".join(f"{b} over {a}" for a, b in row.turned) or UNMEASURED)
        for group in material.comparison.held.values()
        for row in group
    )  # fmt: skip
    caption = (
        "Whether the ranking held. Turned: pairs of which one had a clear lead here and the other "
        "there."
    )
    return Table(("place", "against", "ranking", "turned"), rows, "l", caption)


def capacities(material: Material) -> Table:
    """The highest rates at which enough sessions finished within α."""
    rows = tuple(
        (row.backend, f"{row.workload} on {row.hardware}", f"{row.share:.0%} within {row.alpha:g}×",
         row.answer, UNMEASURED if row.above is None else f"{row.above:.4g}/s")
        for row in material.comparison.capacities
    )  # fmt: skip
    head = ("backend", "workload", "asked for", "highest rate of sessions", "lowest that fails")
    return Table(head, rows, "lllr", "Capacity.")


COLUMNS = {
    LATENCY: "mean s",
    Figure("latency_p95_s"): "P95 s",
    Figure("latency_p99_s"): "P99 s",
    Figure("slowdown_max"): "worst ×",
    Figure("ttft_ready_first_p99_s"): "ready 1st",
    Figure("ttft_ready_continuation_p99_s"): "later",
    Figure("ttft_submit_first_p99_s"): "submit 1st",
    Figure("ttft_submit_continuation_p99_s"): "later",
    Figure("evicted_per_s"): "evict/s",
    Figure("evicted_live_per_s"): "of open",
    Figure("preemptions"): "pre-empt",
    Figure("hit_rate"): "hit rate",
    Figure("host_hit_rate"): "of host",
    Figure("output_tokens_per_s"): "output tok/s",
    Figure("computed_tokens_per_s"): "comp. tok/s",
}
"""The figures of the appendix, after the goodputs."""


MOST = 21
"""Columns of a page."""


def every_figure(material: Material, regime: Regime) -> Iterator[Table]:
    """All backends at all loads of a regime; goodput at many α is a table of its own."""
    alphas = sorted(material.comparison.alphas)
    goods = {Figure("goodput", alpha): f"good ({alpha:g})" for alpha in alphas}
    if len(goods) + len(COLUMNS) + 2 > MOST:
        yield _figures(material, regime, goods)
        yield _figures(material, regime, COLUMNS)
    else:
        yield _figures(material, regime, {**goods, **COLUMNS})


def _figures(material: Material, regime: Regime, columns: Mapping[Figure, str]) -> Table:
    value = material.matrix.value
    rows = tuple(
        (load_of(place), backend, *(_cell(value(place, backend, name), name) for name in columns))
        for place in regime.places
        for backend in material.looks
        if material.matrix.at(place, backend) is not None
    )
    caption = (
        f"{regime.title}: means over seeds. Good: goodput(α). Worst: slowdown. Ready, submit: P99 "
        "TTFT from then, of first rounds and of later ones, s. Evict: blocks of 16 tokens, and "
        "those of open sessions. Hit rate: of later rounds on the GPU, and what host memory gave "
        "them. Comp.: computed."
    )
    return Table(("load", "backend", *columns.values()), rows, "llr", caption)


def load_of(place: Place) -> str:
    """Its load, or its rate where that has none."""
    if place.load is not None:
        return f"{place.load:g}"
    return UNMEASURED if place.rate is None else f"{place.rate:.4g}/s"


def _cell(value: float | None, figure: Figure) -> str:
    return percent(value) if figure.is_share else short(value)


def cautions(material: Material) -> tuple[str, ...]:
    """What not to conclude: of the comparison, then of the runs, each kind once and counted."""
    comparison = material.comparison
    carriers = (
        Carrier(source.backend, material.matrix.title(source.place), source.cautions)
        for source in comparison.sources
    )
    return (*comparison.cautions, *tally(carriers))
