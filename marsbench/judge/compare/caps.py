"""Under which caps the control ran, and whether anybody looked for the best ones.

Decided from the runs' own inputs: a run that searched its cap says so in its settings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from marsbench.judge.compare.figures import CAP, CAP_SEARCHED
from marsbench.judge.compare.points import Matrix, Place
from marsbench.text import numbers


class Cap(NamedTuple):
    """The lowest and the highest cap of a backend's seeds at a place; `searched`: all of them."""

    place: Place
    backend: str
    low: int
    high: int
    searched: bool


def caps_in(matrix: Matrix) -> tuple[Cap, ...]:
    """Of every backend that ran under a cap, place by place."""
    return tuple(
        Cap(*point.where, int(cap.low), int(cap.high), point.spread(CAP_SEARCHED).low == 1)
        for point in matrix.ordered
        if (cap := point.spread(CAP)).low is not None and cap.high is not None
    )


def span(caps: Iterable[Cap]) -> str:
    """ "2", "3 to 6"."""
    return numbers.span([bound for cap in caps for bound in (cap.low, cap.high)], str)


def in_words(caps: Sequence[Cap]) -> str:
    """How these caps came about, without a stop."""
    given = [cap for cap in caps if not cap.searched]
    if not given:
        return f"cap searched for each run, {span(caps)}"
    some = "" if len(given) == len(caps) else f" at {len(given)} of {len(caps)} places"
    return f"cap fixed at {span(given)}{some}, not searched: no best control"


def by_backend(caps: Iterable[Cap]) -> dict[str, list[Cap]]:
    """The caps of each backend."""
    found: defaultdict[str, list[Cap]] = defaultdict(list)
    for cap in caps:
        found[cap.backend].append(cap)
    return dict(found)


def given_caps(caps: Iterable[Cap]) -> Iterator[str]:
    """A caution for each backend whose cap somebody gave."""
    for backend, own in by_backend(caps).items():
        if not all(cap.searched for cap in own):
            yield (
                f"{backend} ran with its {in_words(own)}; leave the cap out, and each run searches "
                "the one with the best goodput."
            )


def sentences(caps: Iterable[Cap]) -> Iterator[str]:
    """One for each backend that ran under a cap.

    Where the world is varied, a searched cap is searched anew in each variation of it.
    """
    for backend, own in by_backend(caps).items():
        varied = len({cap.place.variation for cap in own}) > 1
        anew = ", anew in each variation (the traffic is the same)" if varied else ""
        searched = all(cap.searched for cap in own)
        yield f"`{backend}`: {in_words(own)}{anew if searched else ''}."
