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
        where = "; ".join(_places(code, runs))
        who = f"{len(carrying):,} of {len(runs):,} runs ({where})"
    return f"{code}: {who}. {'For instance: ' if len(texts) > 1 else ''}{texts[0]}"


def _places(code: str, runs: Sequence[Carrier]) -> Iterator[str]:
    """Place by place: which backends carry it there, and how many of their runs."""
    for where in dict.fromkeys(run.where for run in runs):
        here = [run for run in runs if run.where == where]
        played = Counter(run.backend for run in here)
        carrying = Counter(run.backend for run in here if code in _codes(run))
        if carrying == played:
            yield f"{where}: every run"
        elif carrying:
            yield f"{where}: {', '.join(_backend(b, n, played[b]) for b, n in carrying.items())}"


def _backend(name: str, carrying: int, played: int) -> str:
    return name if carrying == played else f"{name} {carrying} of {played}"
