"""The sentences of the map's page: the verdict, the borders, and what would make it mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from marsbench.judge.compare.points import MatrixPoint, by_seed
from marsbench.judge.intervals.pairs import CLOSE
from marsbench.text.numbers import percent, times
from marsbench.text.words import few, listed, quoted
from studies.map.bounded import Bound
from studies.map.parts import Worth
from studies.map.read import Map
from studies.map.standing import CAP, Standing, caps_tried, mean_regret, score
from studies.map.tree import Cut, Fit, Tree
from studies.map.worlds import FEATURES, told

HOSTED = ("berth", "infercept", "infercept-static")
"""Who may swap to host memory, which nobody else is given."""
PAYS = 1.05
"""From here on a part is worth something: the map calls less than 5 % level."""


def verdict(found: Map, fit: Fit | None) -> str:
    """Three sentences: who is best how often, whom to take for everything, where it turns."""
    of = found.standings
    border = "" if fit is None else f" {_border(fit, len(of))}"
    return f"{_tally(of)} {_safest(of)}{border}"


def _tally(standings: Sequence[Standing]) -> str:
    best = Counter(one.best for one in standings)
    right = Counter(name for one in standings for name in one.accepted)
    parts = [
        f"`{name}` at {right[name]} ({best[name]} alone in front)"
        for name, _ in sorted(right.items(), key=lambda item: (-item[1], item[0]))
    ]
    return f"Of {len(standings)} cells, best or level with the best: {few(parts, 4)}."


def _safest(standings: Sequence[Standing]) -> str:
    """Who costs least where one has to be taken for all cells."""
    names = dict.fromkeys(name for one in standings for name in one.contenders)
    known = {name: r for name in names if (r := mean_regret(standings, name)) is not None}
    if not known:
        return "No backend was played in all of them."
    order = sorted(known, key=lambda name: known[name])
    whole = [
        f"`{name}` ({times(known[name][0], 2)} the best's mean latency on average, at most "
        f"{times(known[name][1])})"
        for name in order[:3]
    ]
    return f"Taken for all of them, the least is lost with {listed(whole)}."


def _border(fit: Fit, of: int) -> str:
    if isinstance(fit.tree, Cut):
        return (
            f"Shortest: {sentence(fit.tree)}; that is wrong in {fit.wrong} of {of} cells, and in "
            f"{fit.unseen} when a cell is asked that it was not made from."
        )
    return (
        f"No border is worth a question: `{fit.tree.answer({})}` everywhere is wrong in "
        f"{fit.wrong} of {of} cells."
    )


def sentence(tree: Tree) -> str:
    """ "where load is below 0.7: a; else, where …: b"."""
    if not isinstance(tree, Cut):
        return f"`{tree.answer({})}`"
    where = f"{FEATURES[tree.feature]} is below {told(tree.feature, tree.value)}"
    below = sentence(tree.below)
    below = f"({below})" if isinstance(tree.below, Cut) else below
    return f"where {where}, {below}; else {sentence(tree.above)}"


def drawn(tree: Tree, depth: int = 0) -> Iterator[str]:
    """The tree as indented lines."""
    indent = "    " * depth
    if not isinstance(tree, Cut):
        yield f"{indent}{tree.answer({})}"
        return
    question = f"{FEATURES[tree.feature]} < {told(tree.feature, tree.value)}"
    yield f"{indent}{question}"
    yield from drawn(tree.below, depth + 1)
    yield f"{indent}not {question}"
    yield from drawn(tree.above, depth + 1)


def hosted(standings: Sequence[Standing]) -> str:
    """How the verdict reads to somebody without host memory for KV."""
    own = [one for one in standings if one.best in HOSTED]
    if not own:
        return "No cell is won by swapping to host memory."
    return (
        f"`berth` and `infercept` have 2,000,000 tokens of host memory, which nobody else is "
        f"given; one of them is best in {len(own)} cells. `infercept-gpu-only` is without."
    )


def pays(found: Sequence[Worth]) -> Iterator[str]:
    """Of each part of each reading, where leaving it out costs 5 % or more."""
    for whole, part in dict.fromkeys((one.whole, one.part) for one in found):
        own = [one for one in found if (one.whole, one.part) == (whole, part)]
        ran = [one for one in own if one.exercised]
        yield f"`{whole}`, {part}: {_pays(own, ran)}."


def _pays(own: Sequence[Worth], ran: Sequence[Worth]) -> str:
    if not ran:
        return f"not exercised in any of {len(own)} cells"
    helps = [one for one in ran if one.times >= PAYS]
    harms = [one for one in ran if one.times * PAYS <= 1]
    most = max(ran, key=lambda one: one.times)
    return (
        f"pays in {len(helps)} of {len(ran)} cells in which it ran, harms in {len(harms)} (most: "
        f"{times(most.times, 2)} the latency without it, {most.one.world.title})"
    )


def cautions(found: Map) -> Iterator[str]:
    """What would have to be true for the map to mislead, with numbers where there are any."""
    of = found.standings
    single = [one for one in of if one.seeds == 1]
    yield (
        f"{len(of) - len(single)} cells have more seeds than one, of the backends that were "
        f"near the best; {len(single)} have one, because after it nobody else was within the "
        "margin or because the sweep has not come so far. One seed is no interval: what is near "
        "there may turn with another."
    )
    yield from _disagreeing(of)
    yield from _edges(found)
    moving = [place for place, (_, low, _) in found.drifts.items() if low > 0]
    if moving:
        yield (
            f"In {len(moving)} cells the backlog of the best grows (its interval lies above 0): "
            "more arrives than is served, and a longer run gives larger latencies and ratios. "
            "There a number says who holds out longer, not how long anyone waits."
        )
    if any(one.best in HOSTED for one in of):
        yield hosted(of)
    invalid = [r.run.path.name for r in found.results if not r.summary["valid"]]
    if invalid:
        yield f"Not valid and yet counted here: {few(invalid)}."
    passing = passing_bounds(found)
    if passing:
        yield f"**Runs pass what no schedule can pass, so the bound is wrong: {few(passing)}.**"
    if found.open:
        yield (
            f"{found.open} cells are left out because not everybody who may be best there has "
            "been played yet."
        )
    missing = found.planned - len(found.results)
    if missing:
        yield f"{missing} of {found.planned} runs that the sweep has asked for are missing."
    yield (
        "Step times are modelled; KV capacity is the number of blocks alone, on the step times of "
        "an H200, so a row along it is no comparison of GPUs."
    )


def _disagreeing(standings: Sequence[Standing]) -> Iterator[str]:
    several = [one for one in standings if one.seeds > 1]
    split = [one for one in several if one.agreeing < one.seeds]
    if several:
        yield (
            f"In {len(split)} of the {len(several)} cells with several seeds the best of all is "
            f"not best or level in each{': ' if split else ''}"
            f"{few([one.world.title for one in split])}."
        )


def _edges(found: Map) -> Iterator[str]:
    """Whether the best fixed cap lies at the end of those tried: then the control is too weak."""
    at_edge = []
    capped = [one for one in found.standings if one.cap is not None]
    for one in capped:
        tried = caps_tried(p.backend for p in found.matrix.here(one.place))
        if one.cap in (f"{CAP}-{tried[0]}", f"{CAP}-{tried[-1]}"):
            at_edge.append(one)
    if capped:
        lost = [one for one in at_edge if CAP not in one.accepted]
        yield (
            f"`{CAP}` is the best of a few caps for each KV capacity, not a search: in "
            f"{len(at_edge)} of {len(capped)} cells that is the lowest or the highest tried, and "
            f"in {len(lost)} of these it is not best, so that another cap might be."
        )


def passing_bounds(found: Map) -> list[str]:
    """Runs of the seed that the bound is of, which are better than it: there must be none."""
    return [
        f"{one.world.title} {point.backend}"
        for one in found.standings
        if (bound := found.bounds.get(one.place)) is not None
        for point in one.points.values()
        if _passes(point.only({min(point.seeds, key=by_seed)}), bound)
    ]


def _passes(point: MatrixPoint, bound: Bound) -> bool:
    own = score(point)
    if own is None:
        return False
    return own.latency_s < bound.latency_s * (1 - CLOSE) or own.goodput > bound.goodput + CLOSE


def refined(found: Map) -> str:
    """How far the seeds have come."""
    by = Counter(one.seeds for one in found.standings)
    told_ = [f"{num} at {'one seed' if n == 1 else f'{n} seeds'}" for n, num in sorted(by.items())]
    return f"{len(found.standings)} cells: {listed(told_)}; {len(found.results)} runs."


def contenders(found: Map) -> str:
    """The schedulers that may be best, as code."""
    names = dict.fromkeys(name for one in found.standings for name in one.contenders)
    return listed(quoted(list(names)))


def tree_errors(fits: Sequence[Fit], of: int) -> Iterator[tuple[str, ...]]:
    """Rows: questions, wrong cells, wrong among unseen ones, what following it costs."""
    for fit in fits:
        wrong, unseen = (f"{n} of {of} ({percent(n / of)})" for n in (fit.wrong, fit.unseen))
        yield str(fit.depth), wrong, unseen, times(fit.times, 2)
