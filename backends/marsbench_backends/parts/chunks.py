"""How MARS cuts a prefill chunk that the free blocks cannot hold."""

from __future__ import annotations


def halved_to_fit(num_tokens: int, room_tokens: int, block_size: int) -> int:
    """Half the chunk, again and again, down to one block; `num_tokens` where even that is too much.

    Source: MARS_preview scheduler.py, max(block_size, n // 2) in both scheduling loops.
    """
    chunk = num_tokens
    while chunk > max(room_tokens, block_size):
        chunk = max(block_size, chunk // 2)
    return chunk if chunk <= room_tokens else num_tokens
