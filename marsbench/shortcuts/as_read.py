"""Whether vLLM's offloading is the code that the faster one was written from.

Its loops are replaced by what does the same: of another vLLM nobody has shown that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import vllm

FILES = (
    "distributed/kv_transfer/kv_connector/v1/offloading/scheduler.py",
    "v1/kv_offload/cpu/manager.py",
    "v1/kv_offload/cpu/policies/arc.py",
    "v1/kv_offload/cpu/policies/base.py",
    "v1/kv_offload/cpu/policies/lru.py",
)
SOURCE = "23bc8418407bb92c87df58df7b48edc1ddb90a80279d1bc7bd7d3cd0a51fabb5"
LAZY_FILES = (
    "distributed/kv_transfer/kv_connector/v1/simple_cpu_offload_connector.py",
    "v1/core/block_pool.py",
    "v1/simple_kv_offload/manager.py",
    "v1/simple_kv_offload/metadata.py",
)
LAZY_SOURCE = "bda0e24b9d5e1b7ec7c56001021f5fad1b83108fe1c0d5e73880e8eb7ee7fb31"


@cache
def source(files: Sequence[str]) -> str:
    """The hash of vLLM's files, as they are here."""
    found, folder = hashlib.sha256(), Path(vllm.__file__).parent
    for name in files:
        found.update((folder / name).read_bytes())
    return found.hexdigest()


def is_as_read() -> bool:
    return source(FILES) == SOURCE


def is_lazy_as_read() -> bool:
    return source(LAZY_FILES) == LAZY_SOURCE
