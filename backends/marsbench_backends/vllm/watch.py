"""What an engine may hear of blocks that leave or enter the GPU's cache by a policy's answer."""

from __future__ import annotations

from collections.abc import Sequence


class BlockWatch:
    """Hears it and does nothing; the simulator's makes events of it.

    What vLLM drops of its own accord, when it reuses a block, is not told here.
    """

    def discarded(self, hashes: Sequence[bytes]) -> None:
        """The cached blocks with these hashes were dropped, and nobody has their contents."""

    def swapped_out(self, session_id: str, num_blocks: int) -> None:
        """So many blocks of a paused session left the GPU's cache: host memory has them."""

    def swapped_in(self, session_id: str, number: int, num_blocks: int) -> None:
        """So many blocks of the session's waiting round `number` have come back."""

    def host_evicted(self, session_id: str, num_blocks: int) -> None:
        """Host memory had no room for so many of the session's blocks, and dropped them."""
