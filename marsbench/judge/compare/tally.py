"""What runs warn of, counted: each caution once, with how many runs carry it and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from marsbench.runs import CautionNote


class Carrier(NamedTuple):
    """A run as its cautions see it: its backend, its place in words, and what it warns of."""

    backend: str
    where: str
    notes: Sequence[CautionNote]


def tally(runs: Iterable[Carrier]) -> tuple[str, ...]:
    """A line a code, the most frequent first, then by code.

    "SATURATED: 3 of 132 runs (ilr-1 at load 1: autellix 2 of 3). The queue was …". The sentence is
    that of the first run that carries it; where the others' differ in their numbers, it is told as
    an instance.
    """
    given = list(runs)
    number = Counter(code for run in given for code in _codes(run))
    return tuple(_line(code, given) for code in sorted(number, key=lambda c: (-number[c], c)))


def _codes(run: Carrier) -> dict[str, str]:
    """A run's cautions: the text of each code once."""
    return {note["code"]: note["text"] for note in reversed(run.notes)}


def _line(code: str, runs: Sequence[Carrier]) -> str:
    texts = list(dict.fromkeys(own[code] for run in runs if code in (own := _codes(run))))
    carrying = [run for run in runs if code in _codes(run)]
    if len(carrying) == len(runs):
        who = f"all {len(runs):,} runs" if len(runs) > 1 else "the run"
    else:
        who = f"{len(carrying):,} of {len(runs):,} runs ({_where(runs, carrying)})"
    return f"{code}: {who}. {'For instance: ' if len(texts) > 1 else ''}{texts[0]}"


MOST = 8
"""Backends at places that are told one by one; of more, the backends and the places are."""


def _where(runs: Sequence[Carrier], carrying: Sequence[Carrier]) -> str:
    """Which backends carry it at which places, with how many of their runs."""
    pairs = Counter((run.where, run.backend) for run in carrying)
    if len(pairs) <= MOST:
        return "; ".join(_places(runs, pairs))
    backends, places = (
        ", ".join(f"{name} {number}" for name, number in Counter(names).items())
        for names in ([run.backend for run in carrying], [run.where for run in carrying])
    )
    return f"{backends}; by place: {places}"


def _places(runs: Sequence[Carrier], pairs: Counter[tuple[str, str]]) -> Iterator[str]:
    """ "ilr-1 at load 1: fcfs 1 of 3, mars"."""
    played = Counter((run.where, run.backend) for run in runs)
    for where in dict.fromkeys(where for where, _ in pairs):
        here = {backend: number for (place, backend), number in pairs.items() if place == where}
        told = (
            backend if number == played[where, backend]
            else f"{backend} {number} of {played[where, backend]}"
            for backend, number in here.items()
        )  # fmt: skip
        yield f"{where}: {', '.join(told)}"
