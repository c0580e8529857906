"""Where the bytes of a group of GPUs go, and on how many of them a model fits.

    KV tokens = (fraction x memory - weights - activations - runtime) / KV bytes per token

activations are 180,224 B for each of the 8,192 tokens that a step may hold (1.375 GiB), or what
the model says; runtime is 3.5 GiB for the CUDA context, graphs, the input embedding and
fragmentation, and in a group of GPUs what NCCL sets aside. All are what aiconfigurator-core 0.12.0
reserves for vLLM; with them the formula gives its capacities for the Qwen3 models to the token
(docs/models.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from marsbench.errors import UsageError
from marsbench.hardware.schema import Gpu
from marsbench.hardware.served import Served

STEP_TOKENS = 8_192
RUNTIME_BYTES = 3.5 * 2**30
NCCL_BYTES = {1: 0, 2: 342 * 2**20}
MORE_NCCL_BYTES = 392 * 2**20
FRACTION = 0.9
MIN_KV_TOKENS = 1_024
"""A KV cache of fewer tokens holds no request worth simulating."""
GROUPS = (1, 2, 4, 8)
"""GPUs of one machine that may share a model; all-reduces were measured among so many."""


class DoesNotFitError(UsageError):
    """A model that leaves no room for KV on the GPUs that are to share it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Where a GPU's bytes go, summed over the GPUs of a tensor-parallel group."""

    total_bytes: float
    weight_bytes: float
    activation_bytes: float
    runtime_bytes: float

    def kv_bytes(self, fraction: float) -> float:
        used = self.weight_bytes + self.activation_bytes + self.runtime_bytes
        return fraction * self.total_bytes - used


def memory_of(gpu: Gpu, served: Served, gpus: int) -> Memory:
    """Of `gpus` such cards that share the model."""
    return Memory(
        total_bytes=gpu.memory * gpus,
        weight_bytes=served.shape.weight_bytes(served.bytes_per, gpus),
        activation_bytes=served.shape.activation_bytes * STEP_TOKENS * gpus,
        runtime_bytes=(RUNTIME_BYTES + NCCL_BYTES.get(gpus, MORE_NCCL_BYTES)) * gpus,
    )


def check_fits(name: str, gpu: Gpu, served: Served) -> Memory:
    """The memory. Raises DoesNotFitError, which says on how many GPUs the model would fit."""
    memory = memory_of(gpu, served, served.gpus)
    tokens = _kv_tokens(memory, served, served.gpus)
    if tokens >= MIN_KV_TOKENS:
        return memory
    total, weights = memory.total_bytes / 2**30, memory.weight_bytes / 2**30
    rest = (memory.activation_bytes + memory.runtime_bytes) / 2**30
    raise DoesNotFitError(
        f"{name} holds {tokens} tokens of KV, less than any request needs: {FRACTION} x "
        f"{total:.1f} GiB of memory, less {weights:.1f} GiB of weights and {rest:.1f} GiB for "
        f"activations and runtime. Use more memory or a smaller precision{_groups(gpu, served)}."
    )


def _groups(gpu: Gpu, served: Served) -> str:
    for gpus in GROUPS:
        splits = served.shape.query_heads % gpus == 0
        if splits and _kv_tokens(memory_of(gpu, served, gpus), served, gpus) >= MIN_KV_TOKENS:
            return f", or --tp {gpus}, on which it fits"
    return f"; no --tp up to {GROUPS[-1]} fits"


def _kv_tokens(memory: Memory, served: Served, gpus: int) -> int:
    per_token = served.shape.kv_bytes_per_token(served.bytes_per, gpus)
    return max(0, int(memory.kv_bytes(FRACTION) // per_token))
