"""Draws step time against the length of the prefix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.hardware.profile import Hardware
from marsbench.show.plots import require_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHUNKS = (512, 2_048, 8_192)
DECODES = (1, 8, 32)
POINTS = 120


def plot_hardware(hardware: Hardware, path: Path) -> None:
    """Write the figure; its format is the file's ending.

    Raises UsageError when the ending is unknown or the place cannot be written.
    """
    require_plot(path, "hardware.png")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    prefixes = [1 + hardware.max_model_len * i // POINTS for i in range(POINTS)]
    thousands = [prefix / 1e3 for prefix in prefixes]
    seconds = hardware.step_time.seconds
    for chunk in CHUNKS:
        ms = [1e3 * seconds(0, 0, [(chunk, prefix)]) for prefix in prefixes]
        left.plot(thousands, ms, label=f"{chunk:,} tokens")
    for decodes in DECODES:
        ms = [1e3 * seconds(decodes, decodes * prefix) for prefix in prefixes]
        right.plot(thousands, ms, label=f"{decodes} at once")
    _finish(left, "a step that prefills a chunk", "prefix, thousand tokens")
    _finish(right, "a step of decodes", "context of each, thousand tokens")
    _mark_measured(left, hardware.longest_prefill)
    _mark_measured(right, hardware.longest_decode)
    figure.suptitle(f"{hardware.id}: time of a step ({hardware.source})", fontsize="medium")
    figure.savefig(path)


def _finish(axis: Axes, title: str, xlabel: str) -> None:
    axis.set(title=title, xlabel=xlabel, ylabel="ms", xlim=(0, None), ylim=(0, None))
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _mark_measured(axis: Axes, tokens: int | None) -> None:
    """Shade what was measured; the rest is extrapolated."""
    if tokens is not None:
        axis.axvspan(0, tokens / 1e3, color="0.92", zorder=0)
        axis.text(tokens / 1e3, 0.98, " measured up to here", va="top", fontsize="small",
                  transform=axis.get_xaxis_transform())  # fmt: skip
