"""How full the server's KV cache is, from its own metrics page (vLLM's names).

A server that does not tell leaves it unmeasured, and the controller decides without it.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from marsbench.gateway.sessions import Pressure

USAGE, CONFIG = "vllm:kv_cache_usage_perc", "vllm:cache_config_info"
NULL_BLOCKS = 1
"""Of each engine's blocks vLLM gives this many to nobody, and leaves them out of its usage."""


def read(page: str, num_blocks: int | None = None) -> Pressure:
    """The pressure that a metrics page tells; `num_blocks` stands for what it does not say.

    Several engines behind one page count together: blocks are added, usage is their mean.
    """
    samples = list(_samples(page))
    usage = [sample.value for sample in samples if sample.name == USAGE]
    config = [sample.labels for sample in samples if sample.name == CONFIG]
    counts = [c["num_gpu_blocks"] for c in config if c.get("num_gpu_blocks", "").isdecimal()]
    told = [int(count) - NULL_BLOCKS for count in counts]
    sizes = [int(c["block_size"]) for c in config if c.get("block_size", "").isdecimal()]
    total = num_blocks or sum(told) or None
    free = None
    if total is not None and usage:
        free = round(total * (1 - sum(usage) / len(usage)))
    return Pressure(total, free, sizes[0] if sizes else Pressure().block_size)


def _samples(page: str) -> Iterator[Sample]:
    """Only these two are parsed: a whole page takes 10 ms, in which no stream would go on."""
    lines = [line for line in page.splitlines() if line.startswith((USAGE, CONFIG))]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        yield from family.samples
