"""What a vLLM server says of itself on its metrics page: the one reader, of live runs and gateways.

A page holds one engine's figures, or those of several under data parallelism, told apart by the
label "engine". A gateway's page holds those of several servers, told apart by the label "upstream".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

USAGE, RUNNING, WAITING = (
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
)
PREEMPTIONS, CONFIG = "vllm:num_preemptions_total", "vllm:cache_config_info"
QUERIES, HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"
# With their labels' bracket: some are the beginning of other names.
ALL = (USAGE, RUNNING, WAITING, PREEMPTIONS, CONFIG, QUERIES, HITS)
WANTED = tuple(f"{name}{{" for name in ALL)
UPSTREAM = "upstream"
"""The label of a server on the page of a gateway before several."""
NULL_BLOCKS = 1
"""Of each engine's blocks vLLM gives this many to nobody, and leaves them out of its usage."""


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """One reading, of all engines together; None is what the server does not tell.

    usage: share of the KV blocks in use by requests, 0 to 1. preemptions: since its start.
    num_blocks: KV blocks that requests can have. block_size: tokens of one.
    queried_tokens, hit_tokens: asked of the prefix cache since its start, and found there.
    """

    usage: float | None = None
    running: int | None = None
    waiting: int | None = None
    preemptions: int | None = None
    num_blocks: int | None = None
    block_size: int | None = None
    queried_tokens: int | None = None
    hit_tokens: int | None = None

    @property
    def used_blocks(self) -> int | None:
        """KV blocks in use by requests."""
        if self.usage is None or self.num_blocks is None:
            return None
        return round(self.usage * self.num_blocks)

    @property
    def free_blocks(self) -> int | None:
        """KV blocks in use by nobody, cached ones among them."""
        used = self.used_blocks
        return None if used is None or self.num_blocks is None else self.num_blocks - used


def read_server_metrics(page: str) -> ServerMetrics:
    """A page in Prometheus's text form. Raises ValueError where it is none.

    Requests and preemptions of the engines are added, usage is their mean: engines of one server
    are alike, and what one alone has is not told (`_num_blocks`).
    """
    return together([_read(samples) for samples in _samples(page).values()])


def together(servers: Sequence[ServerMetrics]) -> ServerMetrics:
    """Several servers as one; what one of them does not tell is not known of all."""
    if len(servers) == 1:
        return servers[0]

    def total(name: str) -> int | None:
        values = [getattr(one, name) for one in servers]
        return None if not values or None in values else sum(values)

    num_blocks, used = total("num_blocks"), total("used_blocks")
    sizes = {one.block_size for one in servers}
    return ServerMetrics(
        usage=None if used is None or not num_blocks else used / num_blocks,
        running=total("running"),
        waiting=total("waiting"),
        preemptions=total("preemptions"),
        num_blocks=num_blocks,
        block_size=sizes.pop() if len(sizes) == 1 else None,
        queried_tokens=total("queried_tokens"),
        hit_tokens=total("hit_tokens"),
    )


def _read(found: Mapping[str, Sequence[Sample]]) -> ServerMetrics:
    engines = [sample.labels for sample in found[CONFIG]]
    usage = [sample.value for sample in found[USAGE]]
    whole = usage and len(usage) >= len(engines)
    return ServerMetrics(
        usage=sum(usage) / len(usage) if whole else None,
        running=_sum(found[RUNNING]),
        waiting=_sum(found[WAITING]),
        preemptions=_sum(found[PREEMPTIONS]),
        num_blocks=_num_blocks(engines),
        block_size=_agreed(engines, "block_size"),
        queried_tokens=_sum(found[QUERIES]),
        hit_tokens=_sum(found[HITS]),
    )


def _samples(page: str) -> Mapping[str, Mapping[str, list[Sample]]]:
    """By server and name. Only these lines are parsed: a whole page takes 10 ms, and no stream
    goes on."""
    found: dict[str, dict[str, list[Sample]]] = {}
    lines = [line for line in page.splitlines() if line.startswith(WANTED)]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            server = found.setdefault(sample.labels.get(UPSTREAM, ""), defaultdict(list))
            server[sample.name].append(sample)
    return found or {"": defaultdict(list)}


def _num_blocks(engines: Sequence[Mapping[str, str]]) -> int | None:
    """Of all engines, without those that vLLM gives to nobody.

    vLLM's front end adds up its engines' `num_gpu_blocks` and writes the sum on the line of each
    (`MPClient._apply_ready_response`): lines that differ, or an engine that is there twice, are
    pages of several servers in one, of which nothing follows.
    """
    told = _agreed(engines, "num_gpu_blocks")
    if told is None or len({labels.get("engine") for labels in engines}) < len(engines):
        return None
    return told - NULL_BLOCKS * len(engines)


def _agreed(engines: Sequence[Mapping[str, str]], label: str) -> int | None:
    """The number that every engine has there."""
    values = {labels.get(label, "") for labels in engines}
    value = values.pop() if len(values) == 1 else ""
    return int(value) if value.isdecimal() else None


def _sum(samples: Sequence[Sample]) -> int | None:
    return int(sum(sample.value for sample in samples)) if samples else None
