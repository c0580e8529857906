"""Who is in front at each place, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from marsbench.judge.compare.points import Place
from marsbench.judge.compare.values import Difference
from marsbench.report.document import Table
from marsbench.report.material import Material
from marsbench.report.spans import bracket_words, with_interval
from marsbench.report.standing import Field, against, choices, fields, recommended
from marsbench.text.words import few, percent, short, span, times


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
    return Table(caption, head, rows, right=2, words=(5,))


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
