"""How an emulated server finds its platform: an entry point in a folder of its own.

vLLM asks installed distributions for the entry points "vllm.platform_plugins". The one that names
`platform` lies in a folder that only the emulated server has on its path, so no other vLLM on the
machine ever hears of it.
"""

from __future__ import annotations

from pathlib import Path

NAME = "marsbench_emulated_gpu"


def platform() -> str:
    """The platform's class, as vLLM wants to be told."""
    return "marsbench.serve.vllm_platform.EmulatedPlatform"


def write_plugin(folder: Path) -> None:
    """Make `folder` a place on the path that announces the platform."""
    info = folder / f"{NAME}-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0\n")
    entry = f"[vllm.platform_plugins]\n{NAME} = {__name__}:{platform.__name__}\n"
    (info / "entry_points.txt").write_text(entry)
