"""How full the server's KV cache is, from its own metrics page.

A server that does not tell leaves it unmeasured, and the controller decides without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from marsbench.serve.metrics_page import ServerMetrics, read_server_metrics


@dataclass(frozen=True, slots=True)
class Pressure:
    """The engine's KV cache; None is not measured.

    queried_tokens, hit_tokens: asked of it by prompts since the server's start, and found.
    """

    num_blocks: int | None = None
    free_blocks: int | None = None
    block_size: int = 16
    queried_tokens: int | None = None
    hit_tokens: int | None = None


def read(page: str, num_blocks: int | None = None) -> Pressure:
    """The pressure that a metrics page tells; `num_blocks` stands for what it does not say.

    Raises ValueError where it is no metrics page.
    """
    return of(replace_blocks(read_server_metrics(page), num_blocks))


def replace_blocks(found: ServerMetrics, num_blocks: int | None) -> ServerMetrics:
    """What the server says, with what it was told to have."""
    return replace(found, num_blocks=num_blocks or found.num_blocks)


def of(found: ServerMetrics) -> Pressure:
    """The pressure that is in such a reading."""
    block_size = found.block_size or Pressure().block_size
    hits = (found.queried_tokens, found.hit_tokens)
    return Pressure(found.num_blocks, found.free_blocks, block_size, *hits)
