"""The block loops to run: compiled where they were built from this code, else Python's.

`make setup` builds `_blocks` where a C compiler is. It is used only when it was built from the
`blocks.c` that lies here, and when vLLM's block has the slots that it expects.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from vllm.v1.core.kv_cache_utils import KVCacheBlock

from marsbench.shortcuts import block_loops

SOURCE = Path(__file__).with_name("blocks.c")
VARIABLE = "MARSBENCH_COMPILED"
"""Set to "off", nothing compiled is used: to see what it gains, or whether it is right."""


def loops(compiled: bool = True) -> Any:
    """The module of the block loops: `_blocks`, or `block_loops` where that cannot be had."""
    if not compiled or os.environ.get(VARIABLE) == "off":
        return block_loops
    return _bound() or block_loops


@cache
def _bound() -> Any:
    """The compiled loops for vLLM's blocks; None where there are none that are sure to fit."""
    try:
        built = importlib.import_module("marsbench.shortcuts._blocks")
        if hashlib.sha256(SOURCE.read_bytes()).hexdigest() != built.SOURCE:
            return None
        built.bind(KVCacheBlock)
    except (ImportError, TypeError, OSError):
        return None
    return built
