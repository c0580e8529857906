"""vLLM's own KV offloading: what was copied, how busy the link was, and who waited for it."""

from __future__ import annotations

import math
from typing import NotRequired, TypedDict

from marsbench.core.events import HostDropped, HostLoaded, HostStored, HostUnderWay
from marsbench.core.metrics.percentiles import Distribution, describe
from marsbench.core.metrics.stream import Stream
from marsbench.core.metrics.window import Window


class HostKvFigures(TypedDict):
    """Blocks, bytes, and shares of the run's length; the wait is in seconds, a value a load.

    stored, loaded: copied to host memory and back. dropped: evicted there to make room.
    out_busy_share, in_busy_share: of the run, in which that lane of the link carried a copy.
    load_wait: from the admission of a round to the report that its blocks are back. It is part of
        the round's TTFT.
    under_way: copies that had not ended when the run had, told only where there were any; what
        they moved is in none of the other figures.
    """

    stored_blocks: int
    loaded_blocks: int
    dropped_blocks: int
    stored_bytes: float
    loaded_bytes: float
    out_busy_share: float | None
    in_busy_share: float | None
    load_wait: Distribution
    under_way_copies: NotRequired[int]
    under_way_bytes: NotRequired[float]


def host_kv(stream: Stream, run: Window | None) -> HostKvFigures | None:
    """None where nothing was offloaded, or that is off."""
    stored, loaded = stream.of(HostStored), stream.of(HostLoaded)
    left = stream.of(HostUnderWay)
    if not (stored or loaded or left):
        return None
    figures: HostKvFigures = {
        "stored_blocks": sum(e.blocks for e in stored),
        "loaded_blocks": sum(e.blocks for e in loaded),
        "dropped_blocks": sum(e.blocks for e in stream.of(HostDropped)),
        "stored_bytes": sum(e.bytes for e in stored),
        "loaded_bytes": sum(e.bytes for e in loaded),
        "out_busy_share": _share(math.fsum(e.copy_s for e in stored), run),
        "in_busy_share": _share(math.fsum(e.copy_s for e in loaded), run),
        "load_wait": describe(e.waited_s for e in loaded),
    }
    if left:
        figures["under_way_copies"] = sum(e.copies for e in left)
        figures["under_way_bytes"] = sum(e.bytes for e in left)
    return figures


def _share(seconds: float, run: Window | None) -> float | None:
    return None if run is None or not run.length_s else seconds / run.length_s
