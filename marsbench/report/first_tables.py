"""The tables of the first page: all that could be chosen at one place, and the best elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.points import Place
from marsbench.report.material import Material
from marsbench.report.standing import Field
from marsbench.text.numbers import percent, short
from marsbench.text.tables import Table

MOST = 6
"""Rows of a table; the summary's has every place, and the appendix every backend."""


def first_tables(
    material: Material, field: Field, places: Sequence[Place], best: str
) -> Iterator[Table]:
    """At one place, and at the others where both were played."""
    yield _here(material, field, best)
    elsewhere = [place for place in places if place != field.place]
    if best != material.comparison.baseline and elsewhere:
        yield _elsewhere(material, elsewhere, best)


def _here(material: Material, field: Field, best: str) -> Table:
    """The best first; of many, the baseline and the one to take are among those shown."""
    kept = {best, material.comparison.baseline}
    order = sorted(field.order, key=lambda name: name != best or best not in field.leaders)
    ranked = sorted(order, key=lambda name: name not in kept)[:MOST]
    shown = [name for name in order if name in ranked]
    rows = tuple((name, *_cells(material, field.place, name)) for name in shown)
    left = _left(len(field.order), len(shown))
    caption = (
        f"What a session takes on average on {material.matrix.title(field.place)}, and the share "
        f"that takes at most {material.alpha:g} times as long as alone; the best first.{left}"
    )
    return Table(("scheduler", "a session", _within(material)), rows, "lr", caption)


def _elsewhere(material: Material, places: Sequence[Place], best: str) -> Table:
    """Of many places those where the load is highest."""
    base, within = material.comparison.baseline, _within(material)
    heaviest = {regime.heaviest for regime in material.regimes}
    shown = sorted(places, key=lambda place: place not in heaviest)[:MOST]
    rows = tuple(
        (
            material.matrix.title(place),
            *(c for n in (base, best) for c in _cells(material, place, n)),
        )
        for place in places
        if place in shown
    )
    caption = f"The same elsewhere, for `{base}` and `{best}`.{_left(len(places), len(shown))}"
    return Table(("place", base, within, best, within), rows, "lr", caption)


def _within(material: Material) -> str:
    return f"within {material.alpha:g}×"


def _left(whole: int, shown: int) -> str:
    return f" {shown} of {whole} are shown." if shown < whole else ""


def _cells(material: Material, place: Place, name: str) -> tuple[str, str]:
    """How long a session takes, and how many stay on track."""
    value = material.matrix.value
    good = value(place, name, Figure("goodput", material.alpha))
    return long(value(place, name, LATENCY)), percent(good)


def long(seconds: float | None) -> str:
    """Seconds as a person would say them: "95.0 s", "8.33 min", "1.40 h"."""
    if seconds is None:
        return "an unknown time"
    if seconds < 120:
        return f"{short(seconds)} s"
    return f"{short(seconds / 60)} min" if seconds < 7200 else f"{short(seconds / 3600)} h"
