"""How an emulated server finds its platform: vLLM asks for the entry points of its plugins.

An installed marsbench has one, for a plain `vllm serve`; it answers only where the command names
our executor, so no other vLLM on the machine ever hears of it. `marsbench serve` brings the same
one in a folder of its own, for a marsbench that runs from a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

NAME = "marsbench_emulated_gpu"
EXECUTOR = "marsbench.serve.vllm_gpu.Gpu"
"""What the command of every emulated server names."""


def platform() -> str | None:
    """The platform's class, as vLLM wants to be told; None where nothing is emulated.

    vLLM asks before it reads its options, in each of its processes: all have the command's words.
    """
    if not any(EXECUTOR in word for word in sys.argv):
        return None
    return "marsbench.serve.vllm_platform.EmulatedPlatform"


def write_plugin(folder: Path) -> None:
    """Make `folder` a place on the path that announces the platform."""
    info = folder / f"{NAME}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0\n")
    entry = f"[vllm.platform_plugins]\n{NAME} = {__name__}:{platform.__name__}\n"
    (info / "entry_points.txt").write_text(entry)
