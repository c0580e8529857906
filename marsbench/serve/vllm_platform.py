"""The platform of an emulated server: a machine without a GPU that schedules as one with a GPU."""

from __future__ import annotations

from typing import Any

from vllm.platforms.cpu import CpuPlatform


class EmulatedPlatform(CpuPlatform):
    """vLLM's CPU platform turns asynchronous scheduling off; what is emulated has it."""

    @classmethod
    def check_and_update_config(cls, vllm_config: Any) -> None:
        asked = vllm_config.scheduler_config.async_scheduling
        super().check_and_update_config(vllm_config)
        vllm_config.scheduler_config.async_scheduling = asked
