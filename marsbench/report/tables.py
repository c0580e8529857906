"""Tables of a report: what a comparison says, as rows of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from marsbench.compare.caps import by_backend, in_words, sentences
from marsbench.compare.figures import goodput_name
from marsbench.compare.points import Place
from marsbench.compare.values import Difference, Estimate, Fairness, Source
from marsbench.report.document import Table
from marsbench.report.material import Material, Regime
from marsbench.report.spans import bracket_words
from marsbench.report.words import UNMEASURED, count, each, listed, percent, short, times
from marsbench.reproduce.claims import CLAIMS
from marsbench.reproduce.part_tables import decision_rows
from marsbench.reproduce.systems import BASELINES, BOUND, CONTROL, MARS

LATENCY = "latency_mean_s"
HARD = "\N{NO-BREAK SPACE}"


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
        "tool host": _each_of(_host(s) for s in sources),
        "code": _each_of(s.code for s in sources),
        "versions": _each_of(material.versions),
    }
    rows = tuple((name, value) for name, value in facts.items() if value)
    return Table("Setup and provenance.", ("", ""), rows, right=2)


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


def _gpu(source: Source) -> str | None:
    hardware = source.hardware
    if not hardware:
        return None
    kv = hardware.get("kv_dtype")
    stored = hardware.get("precision") if kv is None else f"{hardware.get('precision')}, {kv} KV"
    return f"{hardware.get('gpu')} ({stored})"


def _cache(source: Source) -> str | None:
    size, blocks = source.settings.get("block_size"), source.settings.get("kv_blocks")
    if size is None or blocks is None:
        return None
    return f"{size * blocks:,} tokens in blocks of {size}"


def _engine(source: Source) -> str | None:
    settings = source.settings
    budget, most = settings.get("max_num_batched_tokens"), settings.get("max_num_seqs")
    if budget is None:
        return None
    return f"{source.place.engine}: {budget:,} tokens a step, {most} sequences"


def _host(source: Source) -> str | None:
    cores = source.settings.get("tool_cores")
    return None if cores is None else f"{cores} cores"


def backends(material: Material) -> Table:
    """Who was compared: each label with what it is and what was set."""
    firsts: dict[str, Source] = {}
    for source in material.comparison.sources:
        firsts.setdefault(source.backend, source)
    plain = {label: s.params for label, s in firsts.items() if label == s.name}
    capped = by_backend(material.comparison.caps)
    rows = tuple(
        (label, firsts[label].name,
         in_words(capped[label]) if label in capped else _set(firsts[label], plain))
        for label in material.looks
    )  # fmt: skip
    caption = (
        "Backends. Parameters: those that differ from the backend's own run; of one run alone, the "
        "first few (`marsbench backends NAME` tells all)."
    )
    return Table(caption, ("label", "backend", "parameters"), rows, right=3)


def _set(source: Source, plain: Mapping[str, Mapping[str, Any]]) -> str:
    own = plain.get(source.name)
    if source.backend != source.name and own is not None:
        chosen = {k: v for k, v in source.params.items() if own.get(k) != v}
        return ", ".join(f"{name}={value}" for name, value in chosen.items()) or "as the backend"
    told = [f"{name}={_value(value)}" for name, value in source.params.items()]
    return listed(told, most=3) if told else "none"


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value).lower()


def overview(material: Material) -> Table:
    """Each place on one line: the best baseline, MARS, the control and the bound."""
    alpha = f"{material.alpha:g}"
    head = (
        "place", "best baseline", "its mean s", "mars s", "baseline ÷ mars", "fcfs-cap ÷ mars",
        "oracle ÷ mars", f"goodput({alpha}): baseline", "mars", "fcfs-cap", "oracle",
    )  # fmt: skip
    ratios = {(r.place, r.backend): r for r in _differences(material, LATENCY)}
    rows = tuple(_overview(material, place, ratios) for place in material.matrix.places)
    caption = (
        "Mean latency and goodput at every place. A ratio (of means) above 1 is in favour of MARS; "
        f"{bracket_words(material.comparison)}. " + " ".join(sentences(material.comparison.caps))
    )
    return Table(caption.strip(), head, rows, right=2, wide=True)


def _overview(
    material: Material, place: Place, ratios: Mapping[tuple[Place, str], Difference]
) -> tuple[str, ...]:
    matrix, goodput = material.matrix, goodput_name(material.alpha)
    best = matrix.best(place, BASELINES, LATENCY)
    name = best.names[0] if best else UNMEASURED
    return (
        matrix.title(place),
        best.told if best else UNMEASURED,
        short(best.value if best else None),
        short(matrix.value(place, MARS, LATENCY)),
        *(_ratio(ratios.get((place, who))) for who in (name, CONTROL, BOUND)),
        *(percent(matrix.value(place, who, goodput)) for who in (name, MARS, CONTROL, BOUND)),
    )


def _ratio(row: Difference | None) -> str:
    if row is None:
        return UNMEASURED
    low, high = row.typical_ratio.low, row.typical_ratio.high
    if low is None or high is None:
        return times(row.ratio)
    return f"{times(row.ratio)}{HARD}[{low:.2f},{HARD}{high:.2f}]"


def _differences(material: Material, figure: str) -> Iterator[Difference]:
    return (row for row in material.comparison.differences if row.figure == figure)


def fairness(material: Material) -> Table:
    """Jain's index, the worst slowdown and the starved, where each regime's load is highest."""
    found = {(row.place, row.backend): row for row in material.comparison.fairness}
    regimes = material.regimes
    rows = tuple(
        (name, *(_fair(found.get((regime.heaviest, name))) for regime in regimes))
        for name in material.contenders
    )
    caption = (
        "Fairness at each regime's highest load, seeds pooled: Jain's index of slowdown over "
        "sessions (1: all fare alike) · worst slowdown · starved sessions (never finished, or over "
        "ten times as long as alone)."
    )
    head = ("backend", *(material.matrix.title(regime.heaviest) for regime in regimes))
    return Table(caption, head, rows, wide=len(regimes) > 2)


def _fair(row: Fairness | None) -> str:
    if row is None:
        return UNMEASURED
    return f"{short(row.jain_sessions)} · {times_short(row.worst_slowdown)} · {row.starved}"


def times_short(value: float | None) -> str:
    """A slowdown: 5.2×; 1,234×."""
    return UNMEASURED if value is None else f"{short(value)}×"


def published(material: Material) -> Table:
    """What the paper reports beside what was measured here, with a verdict by a stated rule."""
    rows = tuple(
        (claim.what, claim.paper, found.ours, found.verdict)
        for claim in CLAIMS
        for found in [claim.found(material.matrix)]
    )
    caption = "The MARS paper's numbers (arXiv 2604.26963) beside these runs'."
    return Table(caption, ("what", "the paper", "here", "verdict"), rows, right=4, wide=True)


def decided(material: Material) -> Table:
    """How often each part of MARS decided something, in a run of the whole, place by place."""
    head, *rows = decision_rows(material.matrix)
    caption = (
        "How often the parts of MARS decided something, in a run; means over seeds. Of how many: "
        "how often there was something to decide (docs/metrics.md)."
    )
    return Table(caption, head, tuple(rows), wide=True)


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
    return Table(caption, ("place", "against", "ranking", "turned"), rows, right=4, wide=True)


def capacities(material: Material) -> Table:
    """The highest rates at which enough sessions finished within α."""
    rows = tuple(
        (row.backend, f"{row.workload} on {row.hardware}", f"{row.share:.0%} within {row.alpha:g}×",
         row.answer, UNMEASURED if row.above is None else f"{row.above:.4g}/s")
        for row in material.comparison.capacities
    )  # fmt: skip
    head = ("backend", "workload", "asked for", "highest rate of sessions", "lowest that fails")
    return Table("Capacity.", head, rows, right=3, wide=True)


COLUMNS = {
    "latency_mean_s": "mean s",
    "latency_p95_s": "P95 s",
    "latency_p99_s": "P99 s",
    "slowdown_max": "worst ×",
    "ttft_ready_first_p99_s": "ready 1st",
    "ttft_ready_continuation_p99_s": "later",
    "ttft_submit_first_p99_s": "submit 1st",
    "ttft_submit_continuation_p99_s": "later",
    "evicted_per_s": "evict /s",
    "evicted_live_per_s": "of open",
    "preemptions": "pre-empt",
    "hit_rate": "hit rate",
    "host_hit_rate": "of host",
    "output_tokens_per_s": "output tok/s",
    "computed_tokens_per_s": "comp. tok/s",
}
"""The figures of the appendix, after the goodputs."""


def every_figure(material: Material, regime: Regime) -> Table:
    """All backends at all loads of a regime."""
    goods = [goodput_name(alpha) for alpha in sorted(material.comparison.alphas)]
    names = [*goods, *COLUMNS]
    found = _estimates(material, regime.places, names)
    rows = tuple(
        (_at(place), backend, *(_cell(found.get((place, backend, name)), name) for name in names))
        for place in regime.places
        for backend in material.looks
        if material.matrix.at(place, backend) is not None
    )
    heads = [f"good ({alpha:g})" for alpha in sorted(material.comparison.alphas)]
    caption = (
        f"{regime.title}: means over seeds. Good: goodput(α). Worst: slowdown. Ready, submit: P99 "
        "TTFT from then, of first rounds and of later ones, s. Evict: blocks of 16 tokens, and "
        "those of open sessions. Hit rate: of later rounds on the GPU, and what host memory gave "
        "them. Comp.: computed."
    )
    head = ("load", "backend", *heads, *COLUMNS.values())
    return Table(caption, head, rows, right=2, wide=True)


def _estimates(
    material: Material, places: Sequence[Place], names: Sequence[str]
) -> dict[tuple[Place, str, str], Estimate]:
    return {
        (row.place, row.backend, row.figure): row
        for row in material.comparison.estimates
        if row.place in places and row.figure in names
    }


def _at(place: Place) -> str:
    if place.load is not None:
        return f"{place.load:g}"
    return UNMEASURED if place.rate is None else f"{place.rate:.4g}/s"


def _cell(row: Estimate | None, name: str) -> str:
    if row is None:
        return UNMEASURED
    is_share = name.startswith("goodput") or name.endswith("hit_rate")
    return percent(row.mean) if is_share else short(row.mean)


def cautions(material: Material) -> tuple[str, ...]:
    """What not to conclude: of the comparison, then of single runs, each kind once."""
    sources = material.comparison.sources
    number = Counter(note["code"] for source in sources for note in _notes(source))
    firsts: dict[str, str] = {}
    for source in sources:
        for note in _notes(source):
            firsts.setdefault(note["code"], note["text"])
    own = [
        f"{number[code]} of {count(len(sources), 'run')}, for instance: {text}"
        for code, text in firsts.items()
    ]
    return (*material.comparison.cautions, *own)


def _notes(source: Source) -> list[Any]:
    """A run's cautions, each kind once."""
    return list({note["code"]: note for note in source.cautions}.values())
