"""What must hold after every step, checked against vLLM's own books."""

from __future__ import annotations

from typing import Any

from marsbench.errors import RunFailedError


def check_blocks(scheduler: Any, num_blocks: int) -> None:
    """free + used + held = total blocks. Raises RunFailedError with the arithmetic."""
    manager = scheduler.kv_cache_manager
    req_blocks = manager.coordinator.single_type_managers[0].req_to_blocks
    used = {b.block_id for blocks in req_blocks.values() for b in blocks}
    holds = getattr(scheduler, "holds", None)
    held = holds.num_blocks() if holds is not None else 0
    free = manager.block_pool.get_num_free_blocks()
    if free + len(used) + held != num_blocks:
        raise RunFailedError(
            f"KV blocks do not add up: free {free} + used {len(used)} + held {held} "
            f"!= total {num_blocks}."
        )
