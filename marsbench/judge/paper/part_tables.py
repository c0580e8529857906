"""MARS without its parts, and how often each of them did anything, as Markdown."""

from __future__ import annotations

from marsbench.judge.compare.figures import LATENCY, num_asked, num_differed, num_held_back
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.paper.parts import PARTS, exercised_at
from marsbench.judge.paper.systems import MARS, WHOLES
from marsbench.text.decisions import DECIDED, REASONS
from marsbench.text.numbers import mean_count, times
from marsbench.text.tables import Table, markdown


def ablations(matrix: Matrix, mars: str = MARS) -> str:
    """Mean latency of each ablated MARS, and of other readings, over the whole, at every place."""
    parts = [name for name in matrix.backends if name.startswith(f"{mars}-no-")]
    others = [name for name in (*WHOLES, "mars-released") if name != mars]
    whole = [name for name in others if name in matrix.backends]
    labels = [*parts, *whole]
    head = ("place", *(part.removeprefix(f"{mars}-") for part in parts), *whole)
    rows = [
        (matrix.title(place), *(_ablated(matrix, place, label, mars) for label in labels))
        for place in matrix.places
    ]
    return markdown(Table(head, rows))


def _ablated(matrix: Matrix, place: Place, label: str, mars: str) -> str:
    ratio = matrix.ratio(place, LATENCY, label, mars)
    idle = "-no-" in label and not exercised_at(matrix, place, label)
    return "not exercised" if idle else times(ratio, 3)


def decided(matrix: Matrix, mars: str = MARS) -> str:
    """How often MARS's parts decided something, at every place; means over seeds."""
    return markdown(decisions(matrix, mars))


def decisions(matrix: Matrix, mars: str = MARS) -> Table:
    """The same as a table."""
    names = list(dict.fromkeys(name for decisions in PARTS.values() for name in decisions))
    head = ("place", *(DECIDED[name] for name in names), *_HELD_BACK.values())
    rows = [
        (
            matrix.title(place),
            *(_of(matrix, place, name, mars) for name in names),
            *(mean_count(matrix.value(place, mars, name)) for name in _HELD_BACK),
        )
        for place in matrix.places
    ]
    return Table(head, rows)


_HELD_BACK = {num_held_back(why): f"by {why.replace('_', ' ')}" for why in REASONS}


def _of(matrix: Matrix, place: Place, name: str, mars: str) -> str:
    """ "3 of 120"."""
    of = matrix.value(place, mars, num_asked(name))
    count = mean_count(matrix.value(place, mars, num_differed(name)))
    return count if of is None else f"{count} of {mean_count(of)}"
