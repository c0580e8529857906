"""What the paper reports, row by row, with our number and a verdict by a stated rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from marsbench.compare.points import Matrix, Place
from marsbench.compare.ranking import GOODPUT, LATENCY
from marsbench.reproduce.systems import BASELINES, BOUND, CONTROL, MARS

Verdict = Literal["reached", "partly", "not reached", "not measured", "ours alone"]

NEAR = 0.9
"""A published figure is reached at nine tenths of it."""
AHEAD = 1.1
"""From this ratio on there is a gain at all; below it the verdict is "not reached"."""
CONTENDED = 0.9
"""A place is contended when FCFS serves less than this share of sessions within 3 times alone."""
COLLAPSED, SUSTAINED = 0.35, 0.7
"""Goodput(3) at a regime's highest load over that at its lowest: gone, and kept."""
KEPT = 0.9
"""Throughput at the highest load over the regime's best: near-constant from here on."""


class Finding(NamedTuple):
    """Our number in words, and what it comes to."""

    ours: str
    verdict: Verdict


NOTHING = Finding("–", "not measured")


@dataclass(frozen=True, slots=True)
class Claim:
    """A row: what is claimed, what was published, the rule that judges, and the judge."""

    id: str
    what: str
    paper: str
    rule: str
    judge: Callable[[Matrix], Finding]


class Gain(NamedTuple):
    """How many times as large a figure is under the best baseline as under MARS."""

    place: Place
    against: str
    ratio: float


def contended(matrix: Matrix) -> list[Place]:
    """The places at which FCFS fails a tenth of the sessions or more."""
    shares = {place: matrix.value(place, "fcfs", GOODPUT) for place in matrix.places}
    return [place for place, share in shares.items() if share is not None and share < CONTENDED]


def gains(matrix: Matrix, figure: str, places: Sequence[Place]) -> list[Gain]:
    """MARS against the strongest of the paper's baselines at each place."""
    found = []
    for place in places:
        own, best = matrix.value(place, MARS, figure), matrix.best(place, BASELINES, figure)
        if own and best is not None:
            found.append(Gain(place, best[0], best[1] / own))
    return found


def of_model(places: Sequence[Place], name: str) -> list[Place]:
    """The places with a model whose name begins so."""
    return [place for place in places if place.model.startswith(name)]


def against(ratio: float, published: float) -> Verdict:
    """The common rule: near the published ratio, a gain at all, or none."""
    if ratio >= NEAR * published:
        return "reached"
    return "partly" if ratio >= AHEAD else "not reached"


# --- latency


def headline(matrix: Matrix) -> Finding:
    return _largest(matrix, gains(matrix, LATENCY, of_model(matrix.places, "qwen")), 5.94)


def second_model(matrix: Matrix) -> Finding:
    return _largest(matrix, gains(matrix, LATENCY, of_model(matrix.places, "gpt-oss")), 7.56)


def against_fcfs(matrix: Matrix) -> Finding:
    """The paper shows it in figures only."""
    ratios = [
        (ratio, place)
        for place in contended(matrix)
        if (ratio := matrix.ratio(place, LATENCY, "fcfs", MARS)) is not None
    ]
    if not ratios:
        return NOTHING
    top, low = max(ratios), min(ratios)
    text = f"{low[0]:.2f}–{top[0]:.2f}× at contended points (most: {matrix.title(top[1])})"
    return Finding(text, "ours alone")


def _largest(matrix: Matrix, found: Sequence[Gain], published: float) -> Finding:
    if not found:
        return NOTHING
    top = max(found, key=lambda gain: gain.ratio)
    text = f"up to {top.ratio:.2f}× ({matrix.title(top.place)}, against {top.against})"
    return Finding(text, against(top.ratio, published))


def every_point(matrix: Matrix) -> Finding:
    found = gains(matrix, LATENCY, of_model(contended(matrix), "qwen"))
    return _between(found, 1.44, 5.80)


def tails(matrix: Matrix) -> Finding:
    places = of_model(contended(matrix), "qwen")
    both = [
        g for figure in ("latency_p90_s", "latency_p95_s") for g in gains(matrix, figure, places)
    ]
    return _between(both, 1.29, 3.37)


def _between(found: Sequence[Gain], low: float, high: float) -> Finding:
    """Reached when all points are near the lowest and one near the highest published ratio."""
    if not found:
        return NOTHING
    ratios = [gain.ratio for gain in found]
    enough = sum(ratio >= low for ratio in ratios)
    text = (
        f"{min(ratios):.2f}–{max(ratios):.2f}× at contended points; "
        f"{enough} of {len(ratios)} at {low} or more"
    )
    if min(ratios) >= NEAR * low and max(ratios) >= NEAR * high:
        return Finding(text, "reached")
    return Finding(text, "partly" if max(ratios) >= AHEAD else "not reached")


# --- TTFT and evictions


def slow_first_tokens(matrix: Matrix) -> Finding:
    figure = "ttft_submit_worst_round_p99_s"
    places = contended(matrix)
    worst = _most(matrix, places, BASELINES, figure)
    own = _most(matrix, places, (MARS,), figure)
    waited = _most(matrix, places, (MARS,), "ttft_ready_p99_s")
    if worst is None or own is None or waited is None:
        return NOTHING
    text = (
        f"baselines up to {worst[0]:,.0f} s ({worst[1]}, {matrix.title(worst[2])}); MARS up to "
        f"{own[0]:,.0f} s from submit, {waited[0]:,.0f} s from ready, its own queue included"
    )
    if worst[0] > 1000:
        return Finding(text, "reached" if waited[0] < worst[0] else "partly")
    return Finding(text, "partly" if worst[0] > AHEAD * waited[0] else "not reached")


def eviction_rates(matrix: Matrix) -> Finding:
    rates = [
        rate
        for place in contended(matrix)
        for name in BASELINES
        if (rate := matrix.value(place, name, "evicted_per_s")) is not None
    ]
    peak = _most(matrix, contended(matrix), BASELINES, "evicted_peak_per_s")
    if not rates or peak is None:
        return NOTHING
    text = (
        f"baselines {min(rates):,.0f}–{max(rates):,.0f} blocks of 16 tokens/s as means of runs, "
        f"up to {peak[0]:,.0f} in one second"
    )
    reached = min(rates) >= NEAR * 10 and peak[0] > 1000
    return Finding(text, "reached" if reached else "partly" if max(rates) >= 10 else "not reached")


def eviction_burst(matrix: Matrix) -> Finding:
    """Blocks of sessions under way, by quarter of the run."""
    own, others = _quarters(matrix, (MARS,)), _quarters(matrix, BASELINES)
    if own is None or others is None:
        return NOTHING
    text = (
        f"MARS {_per_quarter(own)} live blocks/s by quarter of the run, "
        f"baselines {_per_quarter(others)}"
    )
    quiet, first = max(own[1:]), own[0]
    if quiet <= 0.1 * max(others) and first >= quiet:
        return Finding(text, "reached" if quiet <= 1 else "partly")
    return Finding(text, "partly" if max(own) <= 0.1 * max(others) else "not reached")


def _quarters(matrix: Matrix, names: Sequence[str]) -> list[float] | None:
    """Mean over contended places and backends, for each quarter."""
    means = []
    for quarter in range(1, 5):
        figure = f"evicted_live_quarter_{quarter}_per_s"
        values = [
            value
            for place in contended(matrix)
            for name in names
            if (value := matrix.value(place, name, figure)) is not None
        ]
        if not values:
            return None
        means.append(sum(values) / len(values))
    return means


def _per_quarter(rates: Sequence[float]) -> str:
    return " → ".join(f"{rate:,.1f}" for rate in rates)


def _most(
    matrix: Matrix, places: Sequence[Place], names: Sequence[str], figure: str
) -> tuple[float, str, Place] | None:
    """The largest value of a figure, whose it is and where."""
    found = [
        (value, name, place)
        for place in places
        for name in names
        if (value := matrix.value(place, name, figure)) is not None
    ]
    return max(found, key=lambda entry: entry[0]) if found else None


# --- goodput against load


class Course(NamedTuple):
    """A backend along the loads of one regime, lightest first."""

    workload: str
    backend: str
    goodputs: list[float]
    outputs: list[float]
    computed: list[float]

    @property
    def kept(self) -> float | None:
        """Goodput at the highest load over that at the lowest."""
        return self.goodputs[-1] / self.goodputs[0] if self.goodputs[0] else None

    @property
    def collapsed(self) -> bool:
        return self.kept is not None and self.kept <= COLLAPSED


def courses(matrix: Matrix, names: Sequence[str]) -> list[Course]:
    """Every regime with several loads, for these backends."""
    regimes: dict[Place, list[Place]] = {}
    for place in matrix.places:
        if place.load is not None:
            regimes.setdefault(place._replace(load=None), []).append(place)
    found = [
        _course(matrix, sorted(places, key=lambda p: p.load or 0.0), name)
        for places in regimes.values()
        if len(places) > 1
        for name in names
    ]
    return [course for course in found if course is not None]


def _course(matrix: Matrix, places: Sequence[Place], name: str) -> Course | None:
    figures = (GOODPUT, "output_tokens_per_s", "computed_tokens_per_s")
    series = [
        [v for place in places if (v := matrix.value(place, name, f)) is not None] for f in figures
    ]
    complete = all(len(values) == len(places) for values in series)
    return Course(places[0].workload, name, *series) if complete else None


def collapse(matrix: Matrix) -> Finding:
    baselines, own = courses(matrix, BASELINES), courses(matrix, (MARS,))
    if not baselines or not own:
        return NOTHING
    fallen = [course for course in baselines if course.collapsed]
    keeps = [course.kept for course in own if course.kept is not None]
    text = (
        f"{len(fallen)} of {len(baselines)} baseline curves keep {COLLAPSED:.0%} of their "
        f"goodput(3) or less from the lowest to the highest load; "
        f"MARS keeps {min(keeps, default=0):.0%}–{max(keeps, default=0):.0%}"
    )
    most = len(fallen) * 2 >= len(baselines)
    if most and min(keeps, default=0) >= SUSTAINED:
        return Finding(text, "reached")
    return Finding(text, "partly" if fallen else "not reached")


def constant_throughput(matrix: Matrix) -> Finding:
    """Of the baselines that collapse: what the GPU still computes, and what comes out."""
    fallen = [course for course in courses(matrix, BASELINES) if course.collapsed]
    if not fallen:
        return NOTHING
    computed = [course.computed[-1] / max(course.computed) for course in fallen]
    outputs = [course.outputs[-1] / max(course.outputs) for course in fallen]
    constant = sum(share >= KEPT for share in outputs)
    text = (
        f"of {len(fallen)} collapsed curves, at the highest load: tokens computed "
        f"{min(computed):.0%}–{max(computed):.0%} of their best, output tokens "
        f"{min(outputs):.0%}–{max(outputs):.0%}; {constant} keep {KEPT:.0%} of their output"
    )
    if constant == len(fallen):
        return Finding(text, "reached")
    busy = all(share >= KEPT for share in computed)
    return Finding(text, "partly" if busy or constant else "not reached")


# --- ablations and controls


def ablation(label: str, low: float, high: float | None) -> Callable[[Matrix], Finding]:
    """A judge of MARS without a part; low is the smallest ratio that the paper reports."""

    def judge(matrix: Matrix) -> Finding:
        ratios = [
            (ratio, place)
            for place in contended(matrix)
            if (ratio := matrix.ratio(place, LATENCY, label, MARS)) is not None
        ]
        if not ratios:
            return NOTHING
        top = max(ratios, key=lambda entry: entry[0])
        text = (
            f"{min(ratio for ratio, _ in ratios):.2f}–{top[0]:.2f}× at contended points "
            f"(most: {matrix.title(top[1])})"
        )
        return Finding(text, "ours alone" if high is None else against(top[0], low))

    return judge


def inversion(matrix: Matrix) -> Finding:
    """The lightest regime at its lowest load, without the opportunistic part."""
    ratios = {
        place: ratio
        for place in matrix.places
        if (ratio := matrix.ratio(place, LATENCY, "mars-no-opportunistic", MARS)) is not None
    }
    calm = [place for place in ratios if place not in contended(matrix)]
    if not calm:
        return NOTHING
    lightest = min(calm, key=lambda place: (place.workload, place.load or place.rate or 0.0))
    fastest = min(ratios, key=lambda place: ratios[place])
    text = (
        f"{ratios[lightest]:.4f}× at the lightest point ({matrix.title(lightest)}); "
        f"lowest anywhere {ratios[fastest]:.4f}× ({matrix.title(fastest)})"
    )
    if ratios[lightest] < 1:
        return Finding(text, "reached")
    return Finding(text, "partly" if ratios[fastest] < 1 else "not reached")


def control(matrix: Matrix) -> Finding:
    """MARS against FCFS with the best fixed cap: what scheduling adds to admission."""
    places = contended(matrix)
    ratios = [
        ratio
        for place in places
        if (ratio := matrix.ratio(place, LATENCY, CONTROL, MARS)) is not None
    ]
    if not ratios:
        return NOTHING
    ahead = sum(ratio >= 1 for ratio in ratios)
    text = (
        f"MARS is faster at {ahead} of {len(ratios)} contended points: mean latency of fcfs-cap "
        f"is {min(ratios):.2f}–{max(ratios):.2f}× that of MARS"
    )
    if min(ratios) >= AHEAD:
        return Finding(text, "reached")
    return Finding(text, "partly" if max(ratios) >= AHEAD else "not reached")


def share_of_bound(matrix: Matrix) -> Finding:
    """MARS's goodput over the oracle's."""
    shares = [
        ratio
        for place in contended(matrix)
        if (ratio := matrix.ratio(place, GOODPUT, MARS, BOUND)) is not None
    ]
    if not shares:
        return NOTHING
    text = f"{min(shares):.0%}–{max(shares):.0%} of the oracle's goodput(3) at contended points"
    return Finding(text, "ours alone")


def unmeasured(matrix: Matrix) -> Finding:
    return NOTHING


COMMON = f"reached from {NEAR:.0%} of it, partly from {AHEAD}×"
CLAIMS = (
    Claim("headline", "mean latency against the strongest baseline, Qwen3-Coder-30B", "up to 5.94×",
          COMMON, headline),
    Claim("points", "the same at all points (paper: on H100)", "1.44–5.80×",
          "reached when every contended point is near 1.44 and one near 5.80", every_point),
    Claim("fcfs", "the same against FCFS alone", "in figures only",
          "a number of ours", against_fcfs),
    Claim("tails", "P90 and P95 latency against the strongest baseline", "1.29–3.37×",
          "reached when every contended point is near 1.29 and one near 3.37", tails),
    Claim("gpt-oss", "mean latency, gpt-oss-120b with shortened inputs", "up to 7.56×",
          COMMON, second_model),
    Claim("openhands", "mean completion of real OpenHands agents", "1.20–1.87×",
          "needs a GPU and agents: not a simulation", unmeasured),
    Claim("ttft", "P99 TTFT of a round, from submit", "over 1,000 s in the baselines",
          "reached when a baseline passes 1,000 s and MARS, its own queue included, stays below it",
          slow_first_tokens),
    Claim("evictions", "evictions of the baselines", "~10 to over 1,000 blocks/s throughout",
          "reached when no contended run is under 10 and some second over 1,000", eviction_rates),
    Claim("burst", "evictions under MARS", "a burst at the onset of load, then ≈ 0",
          "reached when after the first quarter at most 1 block/s of a live session goes, "
          "and at most a tenth of the baselines' rate", eviction_burst),
    Claim("collapse", "goodput as load rises", "baselines fall towards 0, MARS sustains",
          f"reached when half of the curves keep {COLLAPSED:.0%} or less and MARS {SUSTAINED:.0%}",
          collapse),
    Claim("throughput", "token throughput of the baselines meanwhile", "stays high",
          f"reached when all that collapsed keep {KEPT:.0%} of their output tokens/s; "
          "partly when only what is computed stays", constant_throughput),
    Claim("coordinator", "MARS without the priority coordinator", "2–5× worse",
          COMMON, ablation("mars-no-coordinator", 2.0, 5.0)),
    Claim("admission", "MARS without the external control plane", "1.5–3× worse",
          COMMON, ablation("mars-no-admission", 1.5, 3.0)),
    Claim("opportunistic", "MARS without the opportunistic co-scheduler", "1.5–2× worse",
          COMMON, ablation("mars-no-opportunistic", 1.5, 2.0)),
    Claim("retention", "MARS without retention", "no figure published",
          "a number of ours", ablation("mars-no-retention", 1.0, None)),
    Claim("inversion", "light load: without the opportunistic part", "slightly faster",
          "reached below 1 at the lightest point, partly when only elsewhere", inversion),
    Claim("control", "is it the scheduling, or the cap? (fcfs-cap is not in the paper)", "–",
          f"reached when MARS leads by {AHEAD}× at every contended point, partly at some", control),
    Claim("bound", "how far from the clairvoyant order (not in the paper)", "–",
          "a number of ours", share_of_bound),
)  # fmt: skip
