"""vLLM's scheduler in this process: no GPU, no weights, no model hub.

The scheduler and the KV cache manager are vLLM's own; what is made up is the model's shape (the
scheduler needs none) and the sampled tokens.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "CRITICAL",
}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
# On import they complain of what a machine without a GPU lacks: kernels, Triton, a CUDA runtime.
for _name in ("vllm", "torch.utils.cpp_extension", "torch._library.triton"):
    logging.getLogger(_name).setLevel(logging.ERROR)

# transformers and vLLM take SciPy along where it is (losses, sound) and do without where it is not;
# a run needs neither, and it is 60 MB and 530 modules. Whoever asks afterwards has it.
_scipy = sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]
try:
    import torch
    from vllm.config import (
        CacheConfig,
        DeviceConfig,
        KVTransferConfig,
        ModelConfig,
        ParallelConfig,
        SchedulerConfig,
        VllmConfig,
    )
    from vllm.model_executor.models.registry import ModelRegistry
    from vllm.sampling_params import SamplingParams
    from vllm.v1.core.kv_cache_utils import init_none_hash
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.kv_cache_interface import (
        FullAttentionSpec,
        KVCacheConfig,
        KVCacheGroupSpec,
        KVCacheTensor,
    )
    from vllm.v1.request import Request
    from vllm.v1.structured_output import StructuredOutputManager
finally:
    if _scipy is None:
        del sys.modules["scipy"]

from marsbench.core.settings import EngineSettings  # noqa: E402
from marsbench.core.sim.hashes import TokenCount  # noqa: E402
from marsbench.offload.host_kv import HostKv  # noqa: E402

SHAPE = {
    "architectures": ["MarsbenchSimulated"],
    "model_type": "qwen3",
    "head_dim": 32,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 1,
    "torch_dtype": "bfloat16",
    "vocab_size": 512,
}


class MarsbenchSimulated(torch.nn.Module):
    """A placeholder architecture, so that vLLM neither imports a model nor starts a process."""

    def __init__(self, vllm_config: Any = None, prefix: str = "") -> None:
        super().__init__()

    def forward(self, input_ids: Any, positions: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the simulator runs no model")

    embed_input_ids = compute_logits = load_weights = forward  # vLLM looks whether they are there


@lru_cache(maxsize=8)
def _model_config(max_model_len: int) -> ModelConfig:
    """A ModelConfig of the placeholder; made once, since it reads a folder."""
    ModelRegistry.register_model("MarsbenchSimulated", MarsbenchSimulated)
    with tempfile.TemporaryDirectory() as folder:
        shape = {**SHAPE, "max_position_embeddings": max_model_len}
        (Path(folder) / "config.json").write_text(json.dumps(shape))
        return ModelConfig(
            model=folder,
            tokenizer=folder,
            skip_tokenizer_init=True,
            dtype="bfloat16",
            seed=0,
            max_model_len=max_model_len,
        )


def make_scheduler(
    cls: type[Scheduler],
    settings: EngineSettings,
    num_blocks: int,
    max_model_len: int,
    additional_config: Mapping[str, object] | None = None,
    kv_bytes_per_token: float = 128.0,
    plugins: Mapping[str, Any] | None = None,
    **own: Any,
) -> Scheduler:
    """A scheduler of vLLM (or a subclass) over `num_blocks` usable KV blocks.

    kv_bytes_per_token: by which vLLM's connector counts the blocks that host memory holds; nothing
        else reads the size of a block.
    plugins: what vLLM's SchedulerConfig is given for its plugins, where it has any.
    own: what the subclass is given beside vLLM's configuration, which is hashed and written out
        as text and so holds no objects of ours.
    """
    model_config = _model_config(max_model_len)
    config = VllmConfig(
        model_config=model_config,
        cache_config=CacheConfig(
            block_size=settings.block_size,
            gpu_memory_utilization=settings.memory_fraction,
            cache_dtype="auto",
            enable_prefix_caching=True,
        ),
        parallel_config=ParallelConfig(),
        scheduler_config=SchedulerConfig(
            max_model_len=max_model_len,
            is_encoder_decoder=False,
            max_num_seqs=settings.max_num_seqs,
            max_num_batched_tokens=settings.max_num_batched_tokens,
            enable_chunked_prefill=True,
            policy="fcfs",
            async_scheduling=False,
            scheduler_reserve_full_isl=settings.reserve_full_prompt,
            **(plugins or {}),
        ),
        device_config=DeviceConfig(device="cpu"),
        kv_transfer_config=_transfer_config(settings.host_kv),
        additional_config=dict(additional_config or {}),
    )
    blocks = num_blocks + 1  # vLLM sets one aside as its null block
    config.cache_config.num_gpu_blocks = blocks
    # vLLM turns it off on a CPU; with it, a connector's scheduler frees blocks a step later.
    config.scheduler_config.async_scheduling = issubclass(cls, AsyncScheduler)
    init_none_hash(lambda _: b"\0" * 32)
    return cls(
        vllm_config=config,
        kv_cache_config=_kv_cache(blocks, settings.block_size, kv_bytes_per_token),
        structured_output_manager=StructuredOutputManager(config),
        block_size=settings.block_size,
        log_stats=False,
        **own,
    )


def _kv_cache(blocks: int, block_size: int, bytes_per_token: float) -> KVCacheConfig:
    """One group of full attention, a block of which takes the model's bytes."""
    page = math.ceil(block_size * bytes_per_token)
    spec = FullAttentionSpec(
        block_size=block_size,
        num_kv_heads=1,
        head_size=1,
        dtype=torch.uint8,
        page_size_padded=page,
    )
    return KVCacheConfig(
        num_blocks=blocks,
        kv_cache_tensors=[KVCacheTensor(blocks * page, ["layer"], blocks * page, page)],
        kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
    )


def _transfer_config(host_kv: HostKv | None) -> KVTransferConfig | None:
    """As vLLM makes it of `--kv-offloading-size`: both ways, and no other engine to talk to."""
    if host_kv is None:
        return None
    return KVTransferConfig(
        kv_connector=host_kv.connector,
        kv_role="kv_both",
        engine_id="marsbench",
        kv_connector_extra_config=dict(host_kv.extra_config),
    )


def make_request(
    request_id: str,
    session_id: str,
    num_prompt_tokens: int,
    max_tokens: int,
    block_hashes: Sequence[bytes],
    now: float,
    extra_args: dict[str, Any],
) -> Request:
    """A request of that many tokens that generates exactly `max_tokens`.

    block_hashes: of the prompt and of the whole output. vLLM caches no block before its tokens
    are computed, so knowing the hashes of tokens yet to come changes nothing.
    """
    request = Request(
        request_id=request_id,
        prompt_token_ids=TokenCount(num_prompt_tokens),
        sampling_params=SamplingParams(
            max_tokens=max_tokens, ignore_eos=True, temperature=0.0, extra_args=extra_args
        ),
        pooling_params=None,
        arrival_time=now,
        block_hasher=None,
        session_id=session_id,
    )
    request.block_hashes = block_hashes
    request.prefill_stats = None  # nobody reads them, and they count every block of the prompt
    return request
