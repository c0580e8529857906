"""A run's charts: its sessions as lanes, and below them the engine and the tool host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CrosshairTool,
    CustomJS,
    CustomJSTickFormatter,
    HoverTool,
    Range1d,
)
from bokeh.models.annotations import BoxAnnotation, Span
from bokeh.plotting import figure
from numpy.typing import NDArray

from marsbench.explore.content import Explored
from marsbench.explore.lanes import STATES
from marsbench.explore.owners import OTHERS
from marsbench.explore.series import batch, calls, token_s, usage

LANES_HEIGHT, KV_HEIGHT, SMALL_HEIGHT = 440, 170, 110
OWNER_COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442"),
    *("#B4BBC2", "#E3E6E9"),
)
_SPAN_COLUMNS = ("left", "right", "bottom", "top", "told")
_MARK_COLUMNS = ("x", "y", "size", "told")
Floats = NDArray[np.float64]


class Axes:
    """What all charts of a page share: the clock, the lanes, and a line at the pointer.

    The charts below the lanes have a clock of their own, which follows when a movement rests: to
    draw all of them anew in every frame would not be smooth.
    """

    def __init__(self, num_lanes: int, end_s: float) -> None:
        end_s = max(end_s, 1e-3)
        self.clock, self.clock_below = (
            Range1d(start=0.0, end=end_s, bounds=(-0.02 * end_s, 1.02 * end_s), name=name)
            for name in ("clock", "clock-below")
        )
        low = num_lanes - 0.5
        bounds = (-0.5, low) if num_lanes else None
        self.lanes = Range1d(start=low, end=-0.5, bounds=bounds, name="lanes")
        _tell((self.clock, self.lanes), "moved")
        _tell((self.clock_below,), "movedBelow")
        self.pointer = Span(dimension="height", line_color="#666666", line_dash="dotted")

    def figure(
        self, height: int, title: str, clock: Range1d | None = None, **options: Any
    ) -> figure:
        """The wheel zooms the clock (that below the lanes), a drag moves it."""
        chart = figure(
            height=height,
            title=title,
            x_range=clock or self.clock_below,
            tools="pan,xwheel_zoom,box_zoom,reset",
            active_drag="pan",
            active_scroll="xwheel_zoom",
            sizing_mode="stretch_width",
            min_border_left=64,
            toolbar_location=None,
            **options,
        )
        chart.add_tools(CrosshairTool(overlay=self.pointer))
        chart.grid.grid_line_alpha = 0.4
        chart.yaxis.ticker = BasicTicker(desired_num_ticks=3 if height < KV_HEIGHT else 6)
        chart.yaxis.minor_tick_line_color = None
        return chart


def _tell(ranges: Sequence[Range1d], what: str) -> None:
    """Call the page's function of that name when one of these changes."""
    for one in ranges:
        for end in ("start", "end"):
            one.js_on_change(end, CustomJS(code=f"window.explore && window.explore.{what}()"))


def charts_of(run: Explored, number: int, axes: Axes) -> list[figure]:
    """From top to bottom."""
    lanes, memory = _lanes(run, number, axes), _memory(run, number, axes)
    charts = [lanes, memory, _tools(run, axes), _batch(run, axes), _token_s(run, axes)]
    charts[-1].xaxis.axis_label = "seconds"
    return charts


def _lanes(run: Explored, number: int, axes: Axes) -> figure:
    """Empty: the page fills it with what fits on the screen (explore.js)."""
    chart = axes.figure(LANES_HEIGHT, run.label, axes.clock, y_range=axes.lanes, lod_threshold=None)
    chart.xgrid.visible = chart.ygrid.visible = False
    chosen = BoxAnnotation(fill_color="#F0E442", fill_alpha=0.35, name=f"chosen-{number}")
    chosen.visible = False
    chart.add_layout(chosen)
    spans = []
    for state, (_, color) in enumerate(STATES):
        source = _empty(f"spans-{number}-{state}", _SPAN_COLUMNS)
        spans.append(
            chart.quad(
                *("left", "right", "top", "bottom"),
                source=source,
                fill_color=color,
                line_color=None,
            )
        )
        spans[-1].name = f"state-{number}-{state}"
    marks = chart.scatter(
        "x", "y", size="size", source=_empty(f"marks-{number}", _MARK_COLUMNS), marker="triangle",
        fill_color="#CC79A7", line_color="#5B2A47", line_width=0.5, fill_alpha=0.85,
        name=f"evictions-{number}",
    )  # fmt: skip
    chart.add_tools(HoverTool(renderers=[*spans, marks], tooltips="@told"))
    chart.yaxis.formatter = CustomJSTickFormatter(
        code="return window.explore ? window.explore.laneName(tick) : ''"
    )
    chart.js_on_event("tap", CustomJS(code="window.explore && window.explore.chooseLane(cb_obj.y)"))
    return chart


def _empty(name: str, columns: Sequence[str]) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns}, name=name)


def _memory(run: Explored, number: int, axes: Axes) -> figure:
    """Blocks of the KV cache by owner, and what requests use of them."""
    chart = axes.figure(
        KV_HEIGHT, "KV blocks by owner, as events tell; lines: used, held (dashed), all there are"
    )
    owners, middle = run.owners, run.grid.edges[1:]
    if owners is not None:
        names = [*owners.stacked]
        colors = [*OWNER_COLORS[: len(names) - 2], *OWNER_COLORS[-2:]]
        source = ColumnDataSource({"x": middle, **_rounded(owners.stacked)})
        areas = chart.varea_stack(names, x="x", color=colors, source=source, alpha=0.8)
        for area, name in zip(areas, names, strict=True):
            area.name = name
        told = [(name, f"@{{{name}}}{{0,0}}") for name in reversed(names)]
        line = chart.line("x", OTHERS, source=source, line_alpha=0.0)
        chart.add_tools(HoverTool(renderers=[line], tooltips=told, mode="vline"))
    for name, values in usage(run.timeline.stream, run.grid).items():
        if values is not None:
            dash = "solid" if name == "used" else "dashed"
            chart.line(middle, values, line_color="#000000", line_dash=dash, name=name)
    total = run.timeline.config.total_blocks
    if total:
        chart.y_range = Range1d(start=0, end=1.05 * total)
        chart.add_layout(Span(location=total, dimension="width", line_color="#D55E00"))
    own = _empty(f"kv-{number}", ("x", "y"))
    chart.line("x", "y", source=own, line_color="#CC79A7", line_width=3)
    return chart


def _rounded(series: Mapping[str, Floats]) -> dict[str, NDArray[np.int32]]:
    return {name: np.rint(values).astype(np.int32) for name, values in series.items()}


def _tools(run: Explored, axes: Axes) -> figure:
    cores = run.timeline.config.settings.get("tool_cores")
    title = "Tool calls under way: dark those that burn CPU"
    chart = axes.figure(
        SMALL_HEIGHT, f"{title}; line: {cores} cores" if cores else title, axes.clock_below
    )
    series = calls(run.timeline.stream, run.grid)
    _stack(chart, run, series, ("#4D5359", "#C4CBD1"))
    if cores:
        chart.add_layout(Span(location=cores, dimension="width", line_color="#D55E00"))
    return chart


def _batch(run: Explored, axes: Axes) -> figure:
    chart = axes.figure(
        SMALL_HEIGHT, "Rounds in the engine: decode, prefill, waiting", axes.clock_below
    )
    found = batch(run.timeline.rounds, run.end_s, run.grid)
    ordered = {name: found[name] for name in ("decode", "prefill", "wait")}
    _stack(chart, run, ordered, ("#56B4E9", "#0072B2", "#E69F00"))
    return chart


def _stack(
    chart: figure, run: Explored, series: Mapping[str, Floats], colors: tuple[str, ...]
) -> None:
    columns = {name: np.round(values, 3).astype(np.float32) for name, values in series.items()}
    source = ColumnDataSource({"x": run.grid.edges[1:], **columns})
    chart.varea_stack([*columns], x="x", color=colors, source=source, alpha=0.9)
    line = chart.line("x", next(iter(columns)), source=source, line_alpha=0.0)
    told = [(name, f"@{{{name}}}{{0.0}}") for name in columns]
    chart.add_tools(HoverTool(renderers=[line], tooltips=told, mode="vline"))


def _token_s(run: Explored, axes: Axes) -> figure:
    """What a decode step takes: seconds from one token to the next."""
    chart = axes.figure(
        SMALL_HEIGHT, "Seconds a token while decoding (step time, waits included)", axes.clock_below
    )
    values = token_s(run.timeline.rounds, run.grid).astype(np.float32)
    chart.line(run.grid.edges[1:], values, line_color="#0072B2")
    return chart
