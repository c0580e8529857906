"""A queue that fills places and memory in its order, passing over whoever does not fit (MARS)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from marsbench_backends.admission import Candidate


def in_turn(
    queue: Sequence[Candidate], cost: Callable[[Candidate], int], slots: int, room: float
) -> Iterator[tuple[Candidate, bool, bool]]:
    """Each with whether those before it left a place, and blocks enough.

    slots: places at first. room: blocks at first. Whoever has both takes them.
    """
    for candidate in queue:
        blocks = cost(candidate)
        has_place, fits = slots > 0, blocks <= room
        yield candidate, has_place, fits
        if has_place and fits:
            slots, room = slots - 1, room - blocks
