"""What must hold after every step, checked against vLLM's own books."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from marsbench.errors import RunFailedError


def check_blocks(scheduler: Any, num_blocks: int) -> None:
    """free + used + held + in transfer = total blocks. Raises RunFailedError with the sum."""
    manager = scheduler.kv_cache_manager
    req_blocks = manager.coordinator.single_type_managers[0].req_to_blocks
    used = {b.block_id for blocks in req_blocks.values() for b in blocks}
    holds: Any = getattr(scheduler, "holds", ())
    held = {b.block_id for session in holds for b in holds.blocks(session)} - used
    moving = _in_transfer(scheduler) - used - held
    free = manager.block_pool.get_num_free_blocks()
    if free + len(used) + len(held) + len(moving) != num_blocks:
        raise RunFailedError(
            f"KV blocks do not add up: free {free} + used {len(used)} + held {len(held)} + in "
            f"transfer {len(moving)} != total {num_blocks}."
        )


def check_free_list(scheduler: Any) -> None:
    """Cached blocks are in the order in which a policy wants them evicted.

    Raises RunFailedError with the first two that are not.
    """
    eviction = getattr(scheduler, "eviction", None)
    for before, after in pairwise(() if eviction is None else eviction.ranks()):
        if before > after:
            raise RunFailedError(
                f"The free list is out of order: a block of rank {before} before one of {after}."
            )


def _in_transfer(scheduler: Any) -> set[int]:
    """Ids of GPU blocks that copies keep; the books of host memory balance too.

    lent: blocks that are copied for rounds of other replicas.
    """
    lent = getattr(scheduler, "lent", {}).values()
    if not scheduler.offloads:
        return {block.block_id for blocks in lent for block in blocks}
    empty, filled, total = scheduler.host.host_books()
    if empty + filled != total:
        raise RunFailedError(f"Host blocks do not add up: {empty} + {filled} != total {total}.")
    moving: set[int] = scheduler.host.gpu_blocks_in_transfer()
    return moving
