"""MARS without its parts, and how often each of them did anything, as Markdown."""

from __future__ import annotations

from marsbench.judge.compare.figures import LATENCY, num_asked, num_differed, num_held_back
from marsbench.judge.compare.points import Matrix, Place
from marsbench.judge.paper.parts import PARTS, exercised_at
from marsbench.judge.paper.systems import MARS
from marsbench.text.decisions import DECIDED, REASONS
from marsbench.text.numbers import mean_count, times
from marsbench.text.tables import Table, markdown


def ablations(matrix: Matrix) -> str:
    """Mean latency of each ablated MARS over the whole one, at every place."""
    labels = [name for name in matrix.backends if name.startswith(f"{MARS}-no-")]
    head = ("place", *(label.removeprefix(f"{MARS}-") for label in labels), "mars-released")
    rows = [
        (
            matrix.title(place),
            *(_ablated(matrix, place, label) for label in (*labels, "mars-released")),
        )
        for place in matrix.places
    ]
    return markdown(Table(head, rows))


def _ablated(matrix: Matrix, place: Place, label: str) -> str:
    ratio = matrix.ratio(place, LATENCY, label, MARS)
    return times(ratio, 3) if exercised_at(matrix, place, label) else "not exercised"


def decided(matrix: Matrix) -> str:
    """How often MARS's parts decided something, at every place; means over seeds."""
    return markdown(decisions(matrix))


def decisions(matrix: Matrix) -> Table:
    """The same as a table."""
    names = list(dict.fromkeys(name for decisions in PARTS.values() for name in decisions))
    head = ("place", *(DECIDED[name] for name in names), *_HELD_BACK.values())
    rows = [
        (
            matrix.title(place),
            *(_of(matrix, place, name) for name in names),
            *(mean_count(matrix.value(place, MARS, name)) for name in _HELD_BACK),
        )
        for place in matrix.places
    ]
    return Table(head, rows)


_HELD_BACK = {num_held_back(why): f"by {why.replace('_', ' ')}" for why in REASONS}


def _of(matrix: Matrix, place: Place, name: str) -> str:
    """ "3 of 120"."""
    of = matrix.value(place, MARS, num_asked(name))
    count = mean_count(matrix.value(place, MARS, num_differed(name)))
    return count if of is None else f"{count} of {mean_count(of)}"
