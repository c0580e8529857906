"""Host memory as a second tier of the KV cache: what went there, came back, or was lost there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypedDict

from marsbench.core.events import HostEvicted, SwappedIn, SwappedOut
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.stream import Stream


class Swaps(TypedDict):
    """Blocks that moved between the GPU and host memory; None where the engine does not tell.

    out_blocks: left the GPU's cache, their contents having been copied. They are not evicted.
    in_blocks: came back for a round.
    lost_blocks: copies for which host memory had no room (any more).
    """

    out_blocks: int | None
    in_blocks: int | None
    lost_blocks: int | None


def swaps(stream: Stream, rounds: Sequence[RoundRecord], unmeasured: Collection[str] = ()) -> Swaps:
    """What was swapped; nothing is known of an engine that tells of no start what it loaded.

    Streams of before swaps were told apart from evictions are such, and those of servers.
    """
    started = [r for r in rounds if r.started_at is not None or r.first_token_at is not None]
    blind = SwappedOut.kind in unmeasured or any(r.loaded_tokens is None for r in started)
    return {
        "out_blocks": None if blind else sum(e.blocks for e in stream.of(SwappedOut)),
        "in_blocks": None if blind else sum(e.blocks for e in stream.of(SwappedIn)),
        "lost_blocks": None if blind else sum(e.blocks for e in stream.of(HostEvicted)),
    }
