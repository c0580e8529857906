"""The summary: in sentences, what these runs say to one who has to choose a backend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.ranking import LEVEL_GOODPUT, LEVEL_LATENCY
from marsbench.judge.compare.values import Difference
from marsbench.judge.intervals import fewest
from marsbench.report.document import Block, Points, Text
from marsbench.report.material import Material
from marsbench.report.standing import (
    Field,
    against,
    bounds,
    choices,
    fields,
    in_front,
    led,
    recommended,
)
from marsbench.text.numbers import count, percent, short, span, times
from marsbench.text.words import capital, few, gpu_in, listed, quoted

FEW = 3
"""So many places at which another is ahead are named."""


def summary(material: Material) -> Iterator[Block]:
    """What to take, by how much it is better, how surely, and for which world."""
    yield Points(tuple(_sentences(material)))
    if len(choices(material)) > 1:
        yield in_front(material)
    yield Text(_terms(material))


def _sentences(material: Material) -> Iterator[str]:
    names, found = choices(material), fields(material)
    best = recommended(found, names, material.comparison.baseline)
    if len(names) < 2 or best is None:
        yield from _without_choice(material, names)
    else:
        yield _recommendation(material, found, best)
        yield _by_how_much(material, best)
        yield _how_surely(material, best)
        yield from _room(material, best)
    yield _world(material)


def _without_choice(material: Material, names: Sequence[str]) -> Iterator[str]:
    if len(names) < 2:
        yield (
            f"One backend: {listed(quoted(names or list(material.looks)))}. There is nothing to "
            "choose between; play the same sessions under another one to compare them."
        )
    else:
        yield (
            "No recommendation: these runs do not say how long each session takes alone, so they "
            "have no goodput, and the backends are not ranked."
        )
    for name in names:
        yield f"`{name}`: {_own(material, name)}."


def _own(material: Material, name: str) -> str:
    """A backend's mean latency and goodput over all places."""
    means = _values(material, name, LATENCY)
    goods = _values(material, name, Figure("goodput", material.alpha))
    return (
        f"mean latency {span(means, short)} s, goodput({material.alpha:g}) {span(goods, percent)}"
    )


def _values(material: Material, name: str, figure: Figure) -> list[float]:
    values = (material.matrix.value(place, name, figure) for place in material.matrix.places)
    return [value for value in values if value is not None]


def _recommendation(material: Material, found: list[Field], best: str) -> str:
    own = led(found, best)
    rivals = [n for n in choices(material) if n != best and len(led(found, n)) == len(own)]
    text = f"{_take(material, found, best)} Nobody is clearly ahead of it at {_of(own, found)}"
    if rivals:
        text += f"; the same holds for {few(quoted(rivals))}"
    behind = [field for field in found if best in field.standing and field.ahead_of(best)]
    told = [
        f"{quoted(field.ahead_of(best)[:1])[0]} is ahead on {material.matrix.title(field.place)}"
        for field in behind[:FEW]
    ]
    more = f", and others at {count(len(behind) - FEW, 'more place')}" if len(behind) > FEW else ""
    return text + "." + (f" But {listed(told)}{more}." if told else "")


def _take(material: Material, found: list[Field], best: str) -> str:
    if best != material.comparison.baseline:
        sure = any(row.standing == "better" for row in against(material, best))
        return f"Recommendation{'' if sure else ', not sure yet'}: `{best}`."
    if material.options.verdicts:
        return f"Recommendation: `{best}`."
    everywhere = all(len(field.leaders) == len(field.standing) for field in found)
    why = "no backend is clearly ahead of another" if everywhere else "nothing here does better"
    return f"Recommendation: stay with `{best}`, {why}."


def _of(own: Sequence[Place], found: Sequence[Field]) -> str:
    if len(found) == 1:
        return "the one place" if own else "no place"
    return f"{len(own)} of {count(len(found), 'place')}"


def _by_how_much(material: Material, best: str) -> str:
    base = material.comparison.baseline
    if best == base:
        ratios = [r.ratio for r in against(material) if r.ratio is not None]
        return f"By how much: the others' mean latency is {span(ratios, times)} that of `{base}`."
    own = [row for row in against(material, best) if row.ratio is not None]
    if not own:
        return f"By how much: `{best}` and `{base}` were not run at one place."
    low, high = (pick(own, key=lambda r: r.ratio or 0.0) for pick in (min, max))
    told = _at(material, low) if len(own) == 1 else f"{_at(material, low)} to {_at(material, high)}"
    good = Figure("goodput", material.alpha)
    return (
        f"By how much: mean latency is {told} that of `{base}`; "
        f"goodput({material.alpha:g}) is {span(_values(material, best, good), percent)}, that of "
        f"`{base}` {span(_values(material, base, good), percent)}."
    )


def _at(material: Material, row: Difference) -> str:
    return f"{times(row.ratio)} ({material.matrix.title(row.place)})"


def _how_surely(material: Material, best: str) -> str:
    comparison = material.comparison
    rows = against(material, None if best == comparison.baseline else best)
    number = Counter(row.standing for row in rows)
    whose = "" if best != comparison.baseline else " of the others"
    what = f"{count(len(rows), 'difference')}{whose} in mean latency to `{comparison.baseline}`"
    unclear = len(rows) - number["better"] - number["worse"]
    return (
        f"How surely: of {what}, {number['better']} called better, {number['worse']} worse and "
        f"{unclear} not told apart at {comparison.confidence:.0%}; {_seeds(rows)}."
    )


def _seeds(rows: Sequence[Difference]) -> str:
    """How many pairs of seeds there are, and which way they point."""
    pairs = [(row.ahead, row.seeds) for row in rows if row.ahead is not None]
    if not pairs:
        return "no seeds are paired"
    least = count(min(seeds for _, seeds in pairs), "seed")
    better, of = (sum(side) for side in zip(*pairs, strict=True))
    return f"{least} a place, lower in {better} of {of} pairs of seeds"


def _room(material: Material, best: str) -> Iterator[str]:
    """How far those go that cannot be chosen."""
    for name, why in bounds(material).items():
        ratios = [
            ratio
            for place in material.matrix.places
            if (ratio := material.matrix.ratio(place, LATENCY, name, best)) is not None
        ]
        yield (
            f"Room: `{name}` {why}, and cannot be chosen. Its mean latency is "
            f"{span(ratios, times)} that of `{best}`, lower at {sum(r < 1 for r in ratios)} of "
            f"{count(len(ratios), 'place')}."
        )


def next_steps(material: Material, best: str | None) -> str:
    """What one who has read this does next."""
    comparison = material.comparison
    steps = ["read the cautions"]
    if any(source.engine == "sim" for source in comparison.sources):
        whom = f"`{best}`" if best else "it"
        steps.append(f"repeat the heaviest load with {whom} on a real server (docs/live.md)")
    if all(len(regime.places) == 1 for regime in material.regimes):
        steps.append("play other loads (one alone does not show where a backend breaks down)")
    needed = fewest(comparison.confidence)
    if len({source.seed for source in comparison.sources}) < needed:
        steps.append(f"play {needed} seeds or more")
    return capital(listed(steps))


def _world(material: Material) -> str:
    """For which traffic, models and engines the summary holds, in a sentence."""
    sources = material.comparison.sources
    loads = listed([f"{r.title} {_loads(r.places)}" for r in material.regimes])
    sizes = span([source.sessions for source in sources], lambda number: f"{number:,.0f}")
    seeds = sorted({source.seed for source in sources if source.seed is not None})
    told = (
        f", seed{'s' * (len(seeds) > 1)} {listed([str(seed) for seed in seeds])}" if seeds else ""
    )
    models = sorted({s.place.model for s in sources if s.place.model})
    gpus = sorted({gpu_in(s.hardware) for s in sources if s.hardware.get("gpu")})
    on = f"; {listed(models)}" + (f" on {listed(gpus)}" if gpus else "") if models else ""
    played = listed(sorted({"the simulator" if s.engine == "sim" else s.engine for s in sources}))
    return (
        f"For which world: {loads}; {sizes} sessions a run{told}{on}; played by {played}. Section "
        "“What was run” has the engine's settings. Elsewhere the order may be another."
    )


def _loads(places: Sequence[Place]) -> str:
    loads = [place.load for place in places if place.load is not None]
    rates = [place.rate for place in places if place.load is None and place.rate is not None]
    told = [f"load {listed([f'{load:g}' for load in loads])}"] if loads else []
    told += [f"{listed([f'{rate:g}' for rate in rates])} sessions/s"] if rates else []
    return f"({', '.join(told)})" if told else ""


def _terms(material: Material) -> str:
    """A paragraph that defines what the summary speaks of."""
    return (
        "In these pages a session is one agent task: rounds of the model with tool calls between "
        "them. Latency is from its arrival to its end, slowdown is latency over that of the same "
        "session alone, and goodput(α) is the share of arrived sessions with a slowdown of at "
        "most α. A place is a workload at a load on one hardware and engine; load is rate × mean "
        "GPU seconds of a session alone. A backend is clearly ahead of another by more than "
        f"{LEVEL_GOODPUT * 100:g} points of goodput({material.alpha:g}), or, where goodput is "
        f"level, by more than {LEVEL_LATENCY:.0%} of mean latency."
    )
