"""The first page: the verdict and what it rests on, in words for one who runs no benchmarks.

Of the same numbers as the summary behind it, which has the terms and the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.judge.compare.causes import cause_differences
from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.values import Difference
from marsbench.judge.intervals import fewest
from marsbench.report.document import Block, Facts
from marsbench.report.first_tables import first_tables, long
from marsbench.report.material import Material
from marsbench.report.standing import Field, against, choices, fields, led, recommended
from marsbench.report.summary import next_steps
from marsbench.report.world import world
from marsbench.text.numbers import count, percent, span, times
from marsbench.text.tables import Table
from marsbench.text.words import few, listed, quoted

TAIL = 100
"""Below so many sessions a run says little of its slowest hundredth."""


def first_page(material: Material) -> Iterator[Block]:
    """Verdict, world, effect, how sure, what it does not say, what to do next."""
    names, found = choices(material), fields(material)
    base = material.comparison.baseline
    best = recommended(found, names, base) if len(names) > 1 else None
    yield Facts(
        (
            ("Verdict", _verdict(material, found, best)),
            ("What was tried", world(material)),
            *_effect(material, best),
            ("How sure", _sure(material, best)),
            ("What this does not say", " ".join(_not_said(material))),
            ("What to do next", f"{next_steps(material, best)}."),
        )
    )
    if best is not None:
        yield from _tables(material, found, best)


def _verdict(material: Material, found: Sequence[Field], best: str | None) -> str:
    base = material.comparison.baseline
    if best is None:
        names = listed(quoted(list(material.looks)))
        return f"None. These runs of {names} give nothing to choose between."
    if best == base:
        return f"Stay with `{base}`. Nothing that was tried does clearly better."
    sure = any(row.standing == "better" for row in against(material, best))
    begin = (
        f"Run `{best}` instead of `{base}`."
        if sure
        else f"`{best}` looks better than `{base}`; these runs do not settle it."
    )
    own = led(list(found), best)
    if len(own) == len(found):
        return f"{begin} Nowhere was anything clearly better than `{best}`."
    return (
        f"{begin} At {len(own)} of {count(len(found), 'place')} nothing was clearly better than "
        f"`{best}`; the summary names the others."
    )


def _effect(material: Material, best: str | None) -> Iterator[tuple[str, str]]:
    """How much a session gains, and where the time goes."""
    base, label = material.comparison.baseline, "What it changes"
    if best == base:
        ratios = [row.ratio for row in against(material) if row.ratio is not None]
        yield (
            label,
            "Nothing is to be gained: under the others a session takes "
            f"{span(ratios, times)} as long as under `{base}`, on average.",
        )
    row = None if best in (None, base) else _largest(against(material, best))
    if row is not None:
        yield label, _gain(material, row)
        yield from _why(material, row)


def _largest(rows: Sequence[Difference]) -> Difference | None:
    """Where sessions gain most, as a ratio."""
    known = [row for row in rows if row.ratio is not None]
    return min(known, key=lambda row: row.ratio or 0.0, default=None)


def _gain(material: Material, row: Difference) -> str:
    """Of the place where it is largest: mean time, and the share that stays on track."""
    value, place, base = material.matrix.value, row.place, row.baseline
    good = Figure("goodput", material.alpha)
    takes, took = (long(value(place, name, LATENCY)) for name in (row.backend, base))
    now, was = (percent(value(place, name, good)) for name in (row.backend, base))
    most = "Most on" if len(material.matrix.places) > 1 else "On"
    return (
        f"{most} {material.matrix.title(place)}: a session takes {takes} on average, where under "
        f"`{base}` it takes {took}. Of all sessions {now} take at most {material.alpha:g} times as "
        f"long as they would alone; under `{base}` {was} do."
    )


def _why(material: Material, row: Difference) -> Iterator[tuple[str, str]]:
    """Where the seconds go, of the first seed, where both kept what happened."""
    means = {where: of for where, of in material.means.items() if where[0] == row.place}
    own = [(row.place, row.backend)] if (row.place, row.backend) in means else []
    for one in cause_differences(means, own, row.baseline):
        yield "Why", f"{one.told} (Of the first seed; more under “Why is it slower”.)"


def _sure(material: Material, best: str | None) -> str:
    comparison = material.comparison
    other = best not in (None, comparison.baseline)
    rows = [row for row in against(material, best if other else None) if row.ahead is not None]
    if not rows:
        return "Nothing is compared, so there is nothing to be sure of."
    ahead, of = sum(row.ahead or 0 for row in rows), sum(row.seeds for row in rows)
    told = (
        f"Of {count(of, 'pair')} of runs of the same sessions, the mean session was faster under "
        f"{f'`{best}`' if other else 'the other scheduler'} in {ahead}."
    )
    least, needed = min(row.seeds for row in rows), fewest(comparison.confidence)
    if least < needed:
        return (
            f"{told} With {count(least, 'pair')} a place that may be luck: it takes {needed} to "
            f"tell at {comparison.confidence:.0%}."
        )
    better, worse = (sum(row.standing == side for row in rows) for side in ("better", "worse"))
    return (
        f"{told} Of {count(len(rows), 'difference')} {better} are better at "
        f"{comparison.confidence:.0%} and {worse} worse; the rest may be luck."
    )


def _not_said(material: Material) -> Iterator[str]:
    sources = material.comparison.sources
    if any(source.engine == "sim" for source in sources):
        yield (
            "Seconds come from a model of the GPU: look whether the order holds at other step "
            "times, or on a real server, before quoting them."
        )
    yield "Under another load, workload, model or GPU the order may be another."
    if not any(source.engine == "openhands" for source in sources):
        yield "Whether the agents solved their tasks was not part of it."
    if min(source.sessions for source in sources) < TAIL:
        yield "Runs this short say little of the slowest session in a hundred."
    growing = sum(any(n["code"] == "SATURATED" for n in source.cautions) for source in sources)
    if growing:
        yield (
            f"In {growing} of {count(len(sources), 'run')} work came faster than it was done: "
            "there a longer run has longer times."
        )
    invalid = [source.backend for source in sources if not source.valid]
    if invalid:
        who = few(quoted(sorted(set(invalid))))
        yield f"Not valid, and no evidence: {count(len(invalid), 'run')} of {who}."


def _tables(material: Material, found: Sequence[Field], best: str) -> Iterator[Table]:
    """At the place that the effect is told of; where there is none, at the heaviest of all."""
    rows = against(material, None if best == material.comparison.baseline else best)
    most = _largest(rows)
    places = [row.place for row in rows]
    field = next((one for one in found if most is not None and one.place == most.place), found[-1])
    yield from first_tables(material, field, list(dict.fromkeys(places)), best)
