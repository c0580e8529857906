"""Metrics pages of servers, as vLLM 0.33.0 writes them."""

from __future__ import annotations

from marsbench.serve.metrics_page import ServerMetrics

# `marsbench serve --emulate h200:qwen3-coder-30b --kv-blocks 1000 -- --data-parallel-size 2`, with
# the labels of its caches' other settings left out and its zeros changed.
TWO_ENGINES = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="qwen3-coder-30b"} 3.0
vllm:num_requests_running{engine="1",model_name="qwen3-coder-30b"} 4.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="qwen3-coder-30b"} 1.0
vllm:num_requests_waiting{engine="1",model_name="qwen3-coder-30b"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="qwen3-coder-30b",reason="capacity"} 1.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="qwen3-coder-30b"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="qwen3-coder-30b"} 0.25
# HELP vllm:num_preemptions_total Cumulative number of preemption from the engine.
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="qwen3-coder-30b"} 7.0
vllm:num_preemptions_total{engine="1",model_name="qwen3-coder-30b"} 2.0
# TYPE vllm:num_preemptions_created gauge
vllm:num_preemptions_created{engine="0",model_name="qwen3-coder-30b"} 1.7956536992872806e+09
vllm:num_preemptions_created{engine="1",model_name="qwen3-coder-30b"} 1.7956536992872865e+09
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",kv_cache_size_tokens="16015",num_gpu_blocks="2002",num_gpu_blocks_override="1001"} 1.0
vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="1",kv_cache_size_tokens="16015",num_gpu_blocks="2002",num_gpu_blocks_override="1001"} 1.0
"""  # noqa: E501 (as it came)
OF_TWO_ENGINES = ServerMetrics(
    usage=0.375, running=7, waiting=1, preemptions=9, num_blocks=2000, block_size=16
)
NO_PAGE = "vllm:kv_cache_usage_perc{engine= 0.5"
