"""vLLM's metrics as numbers: what is in use, who runs, who waits."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

USAGE, RUNNING, WAITING = (
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
)
PREEMPTIONS, CONFIG = "vllm:num_preemptions_total", "vllm:cache_config_info"
WANTED = (USAGE, f"{RUNNING}{{", f"{WAITING}{{", PREEMPTIONS, CONFIG)


@dataclass(frozen=True, slots=True)
class Scrape:
    """One reading; None is what the server does not tell.

    usage: share of the KV blocks in use by requests, 0 to 1. preemptions: since its start.
    """

    usage: float | None = None
    running: int | None = None
    waiting: int | None = None
    preemptions: int | None = None
    num_blocks: int | None = None
    block_size: int | None = None

    @property
    def used_blocks(self) -> int | None:
        """KV blocks in use by requests."""
        if self.usage is None or self.num_blocks is None:
            return None
        return round(self.usage * self.num_blocks)


def read_metrics(page: str) -> Scrape:
    """A page in Prometheus's text form; engines of one server are added up, their usage averaged.

    A server's page has hundreds of lines, and the parser takes its time: it sees a handful.
    """
    lines = [line for line in page.splitlines() if line.startswith(WANTED)]
    values: dict[str, list[float]] = {}
    labels: dict[str, str] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            values.setdefault(sample.name, []).append(sample.value)
            if sample.name == CONFIG:
                labels = sample.labels
    usage = values.get(USAGE)
    return Scrape(
        usage=sum(usage) / len(usage) if usage else None,
        running=_sum(values.get(RUNNING)),
        waiting=_sum(values.get(WAITING)),
        preemptions=_sum(values.get(PREEMPTIONS)),
        num_blocks=_int(labels.get("num_gpu_blocks")),
        block_size=_int(labels.get("block_size")),
    )


def _sum(values: list[float] | None) -> int | None:
    return None if values is None else int(sum(values))


def _int(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
