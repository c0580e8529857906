"""Who leads where, and which backend to take: by `judge.compare`'s rule of a clear lead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.ranking import Score, is_ahead, ranking, standings
from marsbench.judge.compare.values import Difference
from marsbench.judge.paper.systems import KNOW_THE_FUTURE
from marsbench.report.material import Material
from marsbench.report.spans import bracket_words, with_interval
from marsbench.runs.summary import CAP_SEARCH
from marsbench.text.numbers import percent, short, span, times
from marsbench.text.tables import Table
from marsbench.text.words import few


@dataclass(frozen=True, slots=True)
class Field:
    """The backends of a place that one could choose, best first, and where each stands."""

    place: Place
    standing: Mapping[str, Score]

    @property
    def order(self) -> list[str]:
        """Best first."""
        return [name for level in ranking(self.standing) for name in level]

    def ahead_of(self, name: str) -> list[str]:
        """Those that are clearly ahead of it here, best first."""
        own = self.standing[name]
        return [other for other in self.order if is_ahead(self.standing[other], own)]

    @property
    def leaders(self) -> list[str]:
        """Those of whom nobody is clearly ahead, best first."""
        return [name for name in self.order if not self.ahead_of(name)]


def bounds(material: Material) -> dict[str, str]:
    """The backends that show what is possible and cannot be chosen, each with why not."""
    found = {}
    for source in material.comparison.sources:
        if source.name in KNOW_THE_FUTURE:
            found[source.backend] = "knows how long outputs and tools will take"
        elif CAP_SEARCH in source.settings:
            found[source.backend] = "has a cap that was searched in hindsight, for every run"
    return found


def choices(material: Material) -> list[str]:
    """The backends that one could run instead of each other."""
    beyond = bounds(material)
    return [name for name in material.contenders if name not in beyond]


def fields(material: Material) -> list[Field]:
    """Every place at which backends can be ranked, as a choice between those that are choices."""
    able = set(choices(material))
    good = Figure("goodput", material.alpha)
    whole = {place: standings(material.matrix, place, good) for place in material.matrix.places}
    own = {p: {n: s for n, s in all_.items() if n in able} for p, all_ in whole.items()}
    return [Field(place, standing) for place, standing in own.items() if standing]


def against(material: Material, name: str | None = None) -> list[Difference]:
    """The differences in mean latency to the baseline: of all choices, or of one backend."""
    able = set(choices(material)) if name is None else {name}
    rows = material.comparison.differences
    return [row for row in rows if row.figure == LATENCY and row.backend in able]


def led(field_: list[Field], name: str) -> list[Place]:
    """The places at which nobody is clearly ahead of it."""
    return [field.place for field in field_ if name in field.leaders]


def recommended(found: list[Field], names: list[str], current: str) -> str | None:
    """Who leads at most places; between equals `current`, then who loses least in latency.

    Loss: the mean over places of mean latency ÷ the lowest there. None where nothing is ranked.
    """
    if not found:
        return None

    def key(name: str) -> tuple[int, bool, float, str]:
        return (-len(led(found, name)), name != current, _loss(found, name), name)

    return min(names, key=key)


def _loss(found: list[Field], name: str) -> float:
    ratios = [
        field.standing[name].latency_s / min(s.latency_s for s in field.standing.values())
        for field in found
        if name in field.standing
    ]
    return sum(ratios) / len(ratios) if ratios else float("inf")


def in_front(material: Material) -> Table:
    """Each place on one line: who is ahead, with its figures, and who is level with it."""
    base = material.comparison.baseline
    known = {(r.place, r.backend): r for r in against(material)}
    found = fields(material)
    best = recommended(found, choices(material), base)
    rows = tuple(_row(material, field, best, known) for field in found)
    versus = f"others ÷ {base}" if best == base else f"mean ÷ {base}"
    caption = (
        f"Who is in front where: by goodput({material.alpha:g}), where that is level by mean "
        f"latency. Ratios are of means; {bracket_words(material.comparison)}."
    )
    head = (
        "place", "in front", f"goodput({material.alpha:g})", "mean s", versus,
        "level with it",
    )  # fmt: skip
    return Table(head, rows, "llrrrl", caption)


def _row(
    material: Material,
    field: Field,
    best: str | None,
    known: Mapping[tuple[Place, str], Difference],
) -> tuple[str, ...]:
    first = best if best in field.leaders else field.order[0]
    others = [name for name in field.order if name != first]
    level = [name for name in others if name in field.leaders]
    row = known.get((field.place, first))
    ratios = [r.ratio for (place, _), r in known.items()
              if place == field.place and r.ratio is not None]  # fmt: skip
    beside = span(ratios, times) if row is None else with_interval(row)
    return (
        material.matrix.title(field.place),
        first,
        percent(field.standing[first].goodput),
        short(field.standing[first].latency_s),
        beside,
        _level(level, others),
    )


def _level(level: Sequence[str], others: Sequence[str]) -> str:
    if not level:
        return "nobody"
    if len(level) == len(others) > 1:
        return f"all {len(others)} others"
    return few(level)
