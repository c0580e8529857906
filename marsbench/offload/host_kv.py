"""KV in host memory, as vLLM's own connectors keep it: how much, what leaves it, what goes there.

vLLM 0.33.0: `OffloadingConnector` (eager, or from a number of offers on) and
`SimpleCPUOffloadConnector` (lazy: what is about to be evicted from the GPU).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from marsbench.errors import UsageError

GIB = 2**30
CAUTION_GIB = 2_048
"""More than a host of one GPU server is sold with: above it a run is cautioned."""
EVICTIONS = ("lru", "arc")
_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_THRESHOLD = re.compile(r"threshold:([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class HostKv:
    """vLLM's KV offloading to host memory.

    size_gib: of the pool, for all GPUs of the engine (`--kv-offloading-size`).
    eviction: "lru", "arc", or the dotted path of a class that is a vLLM `CachePolicy`.
    store: "eager" stores every full block after its step; "threshold:N" one that was offered N
        times; "lazy" those at the front of the GPU's free list (the simple connector, whose pool
        is LRU).
    cost: what a copy takes of the GPU's memory bandwidth, as a share of the bytes that it moves.
        1: each byte is read or written once in GPU memory, and a step that copies overlap has that
        much less bandwidth (a roofline's reading; 0 is a copy that costs the step nothing).
    """

    size_gib: float
    eviction: str = "lru"
    store: str = "eager"
    cost: float = 1.0

    def __post_init__(self) -> None:
        """Raises UsageError for what cannot be."""
        if not 0 < self.size_gib < float("inf"):
            raise UsageError(
                f"--host-kv must be a size in GiB above 0, or off, not {self.size_gib:g}; "
                "for example --host-kv 256."
            )
        if self.evicts_by_class and not _CLASS.fullmatch(self.eviction):
            raise UsageError(
                f"--host-kv-eviction must be {' or '.join(EVICTIONS)}, or the dotted path of a "
                f"class, not '{self.eviction}'; for example my_module.MyCachePolicy."
            )
        if self.store not in ("eager", "lazy") and not _THRESHOLD.fullmatch(self.store):
            raise UsageError(
                f"--host-kv-store must be eager, lazy or threshold:N, not '{self.store}'; "
                "for example --host-kv-store threshold:2."
            )
        if self.is_lazy and self.eviction != "lru":
            raise UsageError(
                f"--host-kv-store lazy keeps vLLM's own block pool, which is LRU, so that "
                f"--host-kv-eviction {self.eviction} has nothing to decide; leave one of them out."
            )
        if not 0 <= self.cost < float("inf"):
            raise UsageError(
                f"--host-kv-cost must be 0 or more, not {self.cost:g}; the default is 1."
            )

    @property
    def is_lazy(self) -> bool:
        return self.store == "lazy"

    @property
    def evicts_by_class(self) -> bool:
        """Whether a third party's class decides what leaves host memory."""
        return self.eviction not in EVICTIONS

    @property
    def threshold(self) -> int:
        """Offers after which a block is stored; 0 at the first, as vLLM's `store_threshold`."""
        found = _THRESHOLD.fullmatch(self.store)
        return int(found[1]) if found else 0

    @property
    def connector(self) -> str:
        """The name under which vLLM makes it."""
        return "SimpleCPUOffloadConnector" if self.is_lazy else "OffloadingConnector"

    @property
    def extra_config(self) -> dict[str, object]:
        """vLLM's `kv_connector_extra_config`; what is vLLM's default is left out."""
        config: dict[str, object] = {"cpu_bytes_to_use": int(self.size_gib * GIB)}
        if self.is_lazy:
            return {**config, "lazy_offload": True}
        if self.evicts_by_class:
            module, _, name = self.eviction.rpartition(".")
            config.update(eviction_policy=name, cache_policy_module_path=module)
        else:
            config["eviction_policy"] = self.eviction
        if self.threshold:
            config["store_threshold"] = self.threshold
        return config


def host_kv(
    size: str | float | None,
    eviction: str | None = None,
    store: str | None = None,
    cost: float | None = None,
) -> HostKv | None:
    """As options say it; None for off. Raises UsageError for what cannot be."""
    asked = {"eviction": eviction, "store": store, "cost": cost}
    turned = {name: value for name, value in asked.items() if value is not None}
    if size is None or size == "off":
        if turned:
            raise UsageError(
                f"--host-kv-{next(iter(turned))} is for KV in host memory, which is off; "
                "give a size with it, for example --host-kv 256."
            )
        return None
    try:
        gib = float(size)
    except ValueError:
        raise UsageError(
            f"--host-kv must be a size in GiB above 0, or off, not '{size}'; "
            "for example --host-kv 256."
        ) from None
    return HostKv(gib, **turned)  # type: ignore[arg-type]


def check_size(host_kv: HostKv, block_bytes: float) -> None:
    """Raises UsageError where the memory holds no KV block."""
    if host_kv.size_gib * GIB < block_bytes:
        raise UsageError(
            f"--host-kv {host_kv.size_gib:g} GiB hold no KV block of {block_bytes / 1e6:.3g} MB; "
            "give more, for example --host-kv 256, or off."
        )
