"""The map as a page, as rows, and as pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from marsbench.judge.compare.figures import GOODPUT, LATENCY
from marsbench.judge.compare.points import Matrix, by_seed, place_of
from marsbench.judge.compare.tally import Carrier, tally
from marsbench.judge.compare.winners import turning_places, winners_table
from marsbench.judge.paper.verdicts import NEAR
from marsbench.outputs import save
from marsbench.report.canvas import to_bytes
from marsbench.report.looks import is_ablation
from marsbench.text.numbers import fixed, percent, times
from marsbench.text.tables import Table, as_csv, markdown
from marsbench.text.words import bulleted, each
from studies.map import ours, parts, pictures, words
from studies.map.bounded import Bound
from studies.map.published import published_table
from studies.map.read import Map
from studies.map.standing import CAP, Regret, Standing
from studies.map.tree import Case, fits, shortest
from studies.map.worlds import FEATURES, World

PAGE = """\
# Who is best where

{verdict}

{refined} Computed from the run folders of `{name}`; {made}. How to read it and how it is made: \
[map](../docs/map.md).

{hosted}

![Who is best]({stem}-best.svg)

## Every cell

*Best* is the lowest mean latency among those within 5 points of the highest goodput(3); *level* \
are those within 5 % of its latency as well. A backend's column is its regret: its mean latency ÷ \
that of the best, over the seeds that both have, with the lowest and the highest seed in brackets. \
{bounds}*Drift*: by how many sessions the best's backlog grows while one arrives, with its 95 % \
interval; where that lies above 0 the cell has no steady state. Schedulers: {contenders}.

{cells}

![Regret of each backend]({stem}-regret.svg)

## What our own reaches

`berth` is ours, and what it was built for was said before it was played: each target as it \
came out, against the best of all others in each cell, whoever that is, over the seeds that both \
have. *Contended*: `fcfs` takes over 5 % longer than the best.

{targets}

{ours}

What each of its parts is worth: mean latency without it ÷ that of the whole on the same seed, \
and in brackets what goodput(3) gains without it, in points.

{own_parts}

## The worlds

{worlds}

Tool load is the CPU-seconds of tools that arrive a second, per core: at 1 the cores just keep up.

## By which measure

The best by goodput at each α, and by the worst slowdown. {turns}

{winners}

## The borders

A tree over {features}, the best of all with so many questions in a row. *Wrong*: it names \
neither the best nor one that is level. *Unseen*: the same, each cell asked of a tree made from \
the others. *Cost*: mean latency when the tree is followed ÷ that of the best, a geometric mean.

{errors}

The one with the fewest wrong among unseen cells, or the shorter of two such:

```text
{tree}
```

## What each part of MARS is worth

Mean latency without the part ÷ that of the whole on the same seed, and in brackets what \
goodput(3) gains without it, in points: above 1 and below 0 the part pays. *Not exercised*: it \
decided nothing in a run of the whole.

{pays}

{worths}

How often each decision was other than vLLM's, of how many; means over the cells of each mix.

{ran}

## The MARS paper's ratios in these worlds

A baseline's latency ÷ that of MARS, over the seeds that both have; above 1 MARS is faster. *The \
strongest* is the baseline with the lowest in each cell, of FCFS, InferCept and Continuum. A cell \
is at the paper's least or most from {near} of it; the paper's own worlds are not public.

{published}

## How long MARS was in its modes

Shares of the run's length. The controller has a mode while sessions wait in front of it: \
*packing* when KV is congested, *GPU-heavy first* when the tool host is, *small first* when \
neither is.

{moded}

{modes}

## What would make this mislead

{cautions}

### Cautions of the runs

{carried}
"""


def written(found: Map, output: Path) -> tuple[str, str]:
    """The page and its rows; the pictures are saved beside it."""
    names = shown(found.standings)
    output.parent.mkdir(parents=True, exist_ok=True)
    for what, figure in (
        ("best", pictures.winners(found.standings)),
        ("regret", pictures.regrets(found.standings, names)),
    ):
        for form in ("svg", "png"):
            path = output.with_name(f"{output.stem}-{what}.{form}")
            save(path, [to_bytes(figure, form)])
    return page(found, output.stem), as_csv(rows(found))


def page(found: Map, stem: str) -> str:
    of = found.standings
    fitted = fits([case(one) for one in of])
    shallow = shortest(fitted)
    worths = parts.worths(of)
    own = ours.against(of, found.results)
    return PAGE.format(
        verdict=words.verdict(found, shallow),
        refined=words.refined(found),
        name=found.name,
        made=_made(found),
        hosted=words.hosted(of),
        stem=stem,
        bounds=BOUNDS if found.bounds else "",
        contenders=words.contenders(found),
        cells=markdown(cells(found)),
        targets=bulleted(ours.targets(own)),
        ours=markdown(ours.table(own)),
        own_parts=markdown(ours.worths(of)),
        worlds=markdown(worlds(of)),
        turns=turning_places(_own(found), _labels(of)),
        winners=markdown(winners_table(_own(found), _labels(of))),
        features=", ".join(FEATURES.values()),
        errors=markdown(
            Table(("questions", "wrong", "unseen", "cost"), [*words.tree_errors(fitted, len(of))])
        ),
        tree="\n".join(words.drawn(shallow.tree)),
        pays=bulleted(words.pays(worths)),
        worths=markdown(parts.worth_table(worths)),
        ran=markdown(parts.ran_table(of)),
        near=percent(NEAR),
        published=markdown(published_table(of)),
        moded=bulleted(parts.modes_told(found.shares)),
        modes=markdown(parts.modes_table(found.shares)),
        cautions=bulleted(words.cautions(found)),
        carried=bulleted(tally(_carriers(found))),
    )


BOUNDS = (
    "*Bound* is what no schedule can pass, of the first seed: the mean latency of the best ÷ the "
    "proven least, and goodput(3) at most; the truth lies between the best and the bound. "
)


def case(one: Standing) -> Case:
    """A cell as the tree sees it: what every scheduler of it costs."""
    features = {name: float(getattr(one.world, name)) for name in FEATURES}
    regrets = {name: one.regrets[name].times for name in one.contenders}
    return Case(features, frozenset(one.accepted), regrets)


def shown(standings: Sequence[Standing]) -> list[str]:
    """Backends with a column and a panel of their own: all but ablations."""
    names = dict.fromkeys(name for one in standings for name in one.points)
    return [name for name in names if not is_ablation(name)]


def cells(found: Map) -> Table:
    """A row a cell."""
    names = shown(found.standings)
    bound = ("best ÷ bound", "goodput(3) at most") if found.bounds else ()
    head = ("cell", "best", "level", "goodput(3)", "mean s", "seeds", *bound, *names, "drift")
    return Table(head, [_cell(found, one, names) for one in found.standings], "lllr")


def _cell(found: Map, one: Standing, names: Sequence[str]) -> tuple[str | None, ...]:
    best = one.points[one.best]
    latency, good = best.mean(LATENCY), best.mean(GOODPUT)
    first = best.only({min(best.seeds, key=by_seed)}).mean(LATENCY)
    sides = () if not found.bounds else _bound(found.bounds.get(one.place), first)
    drift = found.drifts.get(one.place)
    return (
        one.world.title,
        one.best if one.best != CAP else str(one.cap),
        ", ".join(one.level),
        percent(good),
        fixed(latency),
        one.sure,
        *sides,
        *(_regret(one.regrets.get(name)) for name in names),
        None if drift is None else f"{drift[0]:.2f} ({drift[1]:.2f} to {drift[2]:.2f})",
    )


def _bound(bound: Bound | None, latency_s: float | None) -> tuple[str | None, str | None]:
    if bound is None or latency_s is None:
        return None, None
    return times(latency_s / bound.latency_s, 2), percent(bound.goodput)


def _regret(one: Regret | None) -> str | None:
    if one is None:
        return None
    told = times(one.times, 2)
    return told if one.low is None else f"{told} ({one.low:.2f}–{one.high:.2f})"


def worlds(standings: Sequence[Standing]) -> Table:
    """A row for each mix and host: pauses and what the tools ask of the cores at each load."""
    groups: dict[tuple[str, int, str], list[Standing]] = {}
    for one in standings:
        groups.setdefault((one.world.pauses, one.world.cores, one.world.sizes), []).append(one)
    head = ("pauses", "tool cores", "sizes", "mean pause alone", "tool load", "spread of sizes")
    rows_ = [
        (pauses, str(cores), sizes, f"{own[0].world.pause_s:.3g} s", _loads(own),
         f"{own[0].world.spread:.2f}")
        for (pauses, cores, sizes), own in groups.items()
    ]  # fmt: skip
    return Table(head, rows_, "l")


def _loads(standings: Sequence[Standing]) -> str:
    """ "0.06 at load 0.5, 0.12 at load 1"."""
    by_load = {one.world.load: one.world.tool_load for one in standings}
    return ", ".join(f"{by_load[load]:.2g} at load {load:g}" for load in sorted(by_load))


def rows(found: Map) -> Table:
    """Everything as rows: a cell and a backend each."""
    head = (
        *World._fields, "backend", "seeds", "cell_seeds", "goodput_3", "latency_mean_s",
        "regret_times", "regret_low", "regret_high", "regret_points", "best", "level",
        "least_latency_s", "most_goodput_3",
    )  # fmt: skip
    told = [_row(found, one, name) for one in found.standings for name in one.points]
    return Table(head, told)


def _row(found: Map, one: Standing, name: str) -> tuple[str | float | None, ...]:
    point, own, bound = one.points[name], one.regrets[name], found.bounds.get(one.place)
    return (
        *one.world,
        point.backend if name == CAP else name,
        len(point.seeds),
        one.seeds,
        point.mean(GOODPUT),
        point.mean(LATENCY),
        own.times,
        own.low,
        own.high,
        own.points,
        str(name == one.best).lower(),
        str(name in one.level).lower(),
        None if bound is None else bound.latency_s,
        None if bound is None else bound.goodput,
    )


def _own(found: Map) -> Matrix:
    """The matrix with the best cap in place of all that were tried, in the map's order."""
    return Matrix(
        [
            replace(point, backend=name)
            for one in found.standings
            for name, point in one.points.items()
            if name in one.contenders
        ]
    )


def _labels(standings: Sequence[Standing]) -> set[str]:
    return {name for one in standings for name in one.contenders}


def _made(found: Map) -> str:
    code = each([result.summary["code"] for result in found.results])
    hardware = each([str(result.summary["hardware"].get("id")) for result in found.results])
    return f"code {', '.join(code)}, step times of {', '.join(hardware)}"


def _carriers(found: Map) -> Iterator[Carrier]:
    titles = {one.place: one.world.title for one in found.standings}
    for result in found.results:
        where = titles.get(place_of(result))
        if where is not None:
            yield Carrier(str(result.place["backend"]), where, result.summary["cautions"])
