"""The platform of an emulated server: a machine without a GPU that schedules as one with a GPU."""

from __future__ import annotations

import os
from typing import Any

from vllm.platforms.cpu import CpuPlatform


class EmulatedPlatform(CpuPlatform):
    """vLLM's CPU platform, less what it does for kernels that never run here.

    It turns asynchronous scheduling off, which a GPU has; and it has processes spawned, for the
    sake of OpenMP, where a fork does not import vLLM a second time.
    """

    @classmethod
    def check_and_update_config(cls, vllm_config: Any) -> None:
        asynchronous = vllm_config.scheduler_config.async_scheduling
        super().check_and_update_config(vllm_config)
        vllm_config.scheduler_config.async_scheduling = asynchronous
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
