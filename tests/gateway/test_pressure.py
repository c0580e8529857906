"""KV pressure is read off vLLM's metrics page, and is unmeasured where it is not told."""

from __future__ import annotations

import pytest

from marsbench.gateway.pressure import read
from marsbench.gateway.sessions import Pressure

CONFIG = 'vllm:cache_config_info{block_size="32",engine="%d",num_gpu_blocks="1001"} 1.0\n'
USAGE = 'vllm:kv_cache_usage_perc{engine="%d",model_name="m"} %s\n'
NOISE = "# HELP x y\nother_total 3.0\nvllm:num_preemptions_total{} 1.0\n"


@pytest.mark.parametrize(
    ("page", "num_blocks", "found"),
    [
        (NOISE + CONFIG % 0 + USAGE % (0, "0.25"), None, Pressure(1000, 750, 32)),
        (CONFIG % 0 + CONFIG % 1 + USAGE % (0, "0.0") + USAGE % (1, "1.0"), None,
         Pressure(2000, 1000, 32)),
        (CONFIG % 0 + USAGE % (0, "0.25"), 400, Pressure(400, 300, 32)),
        (USAGE % (0, "0.25"), None, Pressure(None, None)),
        (CONFIG % 0, None, Pressure(1000, None, 32)),
        ('vllm:cache_config_info{num_gpu_blocks="None"} 1.0\n', None, Pressure(None, None)),
        (NOISE, None, Pressure(None, None)),
        ("", 400, Pressure(400, None)),
    ],
)  # fmt: skip
def test_pressure_is_read(page: str, num_blocks: int | None, found: Pressure) -> None:
    assert read(page, num_blocks) == found


def test_a_page_that_is_no_metrics_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="float"):
        read("vllm:kv_cache_usage_perc{engine= 0.5")
