"""KV pressure is read off vLLM's metrics page, and is unmeasured where it is not told."""

from __future__ import annotations

import pytest

from marsbench.gateway.pressure import Pressure, read
from metrics_pages import NO_PAGE, TWO_ENGINES

CONFIG = 'vllm:cache_config_info{block_size="32",engine="0",num_gpu_blocks="1001"} 1.0\n'
USAGE = 'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25\n'
HITS = (
    'vllm:prefix_cache_queries_total{engine="0"} 80.0\n'
    'vllm:prefix_cache_hits_total{engine="0"} 60.0\n'
)
NOISE = "# HELP x y\nother_total 3.0\nvllm:num_preemptions_total{} 1.0\n"


@pytest.mark.parametrize(
    ("page", "num_blocks", "found"),
    [
        (NOISE + CONFIG + USAGE, None, Pressure(1000, 750, 32)),
        (TWO_ENGINES, None, Pressure(2000, 1250, 16)),
        (TWO_ENGINES, 400, Pressure(400, 250, 16)),
        (CONFIG + USAGE, 400, Pressure(400, 300, 32)),
        (USAGE, None, Pressure(None, None)),
        (USAGE, 400, Pressure(400, 300)),
        (HITS, 400, Pressure(400, None, 16, 80, 60)),
        (CONFIG, None, Pressure(1000, None, 32)),
        ('vllm:cache_config_info{num_gpu_blocks="None"} 1.0\n', None, Pressure(None, None)),
        (NOISE, None, Pressure(None, None)),
        ("", 400, Pressure(400, None)),
    ],
)
def test_pressure_is_read(page: str, num_blocks: int | None, found: Pressure) -> None:
    assert read(page, num_blocks) == found


def test_a_page_that_is_no_metrics_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="float"):
        read(NO_PAGE)
