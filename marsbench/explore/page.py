"""Runs to look into, as one HTML file that needs no server and no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
from bokeh.models import CustomJS
from bokeh.plotting import column, row
from bokeh.resources import INLINE
from jinja2 import Environment

from marsbench.errors import UsageError
from marsbench.explore.charts import Axes, charts_of
from marsbench.explore.content import Explored, content_of, lanes_of, packed
from marsbench.explore.lanes import STATES
from marsbench.text.numbers import fixed, percent, seconds

MOST_RUNS = 2
"""Side by side; more would not be legible."""
_IDS = re.compile(r"(?<=\")p\d{4,}(?=\")|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def explored(paths: Sequence[Path], profile: Path | None = None) -> str:
    """The page of one run, or of two on one clock. Raises UsageError."""
    if not 1 <= len(paths) <= MOST_RUNS:
        raise UsageError(
            f"{len(paths)} runs are given; explore shows one, or two side by side: marsbench "
            "explore RUN [RUN]."
        )
    return page_of([Explored.read(path, profile) for path in paths])


def page_of(runs: Sequence[Explored]) -> str:
    """The text of the page."""
    lanes = lanes_of(runs)
    axes = Axes(len(lanes), max(run.end_s for run in runs))
    columns = [
        column(charts_of(run, number, axes), sizing_mode="stretch_width")
        for number, run in enumerate(runs)
    ]
    document = Document()
    document.add_root(row(columns, sizing_mode="stretch_width"))
    document.js_on_event(DocumentReady, CustomJS(code="window.explore.start()"))
    about = {
        "runs": [_about(run) for run in runs],
        "contents": [packed(content_of(run, lanes)) for run in runs],
        "states": STATES,
        "script": _part("explore.js"),
        "style": _part("explore.css"),
    }
    template = Environment(autoescape=True).from_string(_part("explore.html.j2"))
    title = " and ".join(run.label for run in runs)
    text = file_html(document, INLINE, title, template=template, template_variables=about)
    return _numbered(text)


def _numbered(text: str) -> str:
    """Bokeh's ids are random, or go on where the last page ended: here they count from 1."""
    known: dict[str, int] = {}
    return _IDS.sub(lambda found: f"id{known.setdefault(found[0], len(known) + 1)}", text)


def _part(name: str) -> str:
    return resources.files("marsbench.explore").joinpath("parts", name).read_text("utf-8")


def _about(run: Explored) -> dict[str, Any]:
    """The lines at the head of the page."""
    config = run.timeline.config
    done = run.why.explained
    mean = sum(one.record.completion_s or 0.0 for one in done) / len(done) if done else None
    alpha = config.alphas[0]
    good = [one for one in done if (one.record.slowdown or 0.0) <= alpha]
    tools, seed = config.workload_meta.get("tools"), config.seed
    world = [config.workload, f"tools {tools}" if tools else "", f"seed {seed}" if seed else ""]
    return {
        "label": run.label,
        "world": ", ".join([*filter(None, world), str(config.hardware.get("id", ""))]),
        "told": (
            f"{fixed(len(done))} of {fixed(config.offered_sessions)} sessions finished in "
            f"{seconds(run.end_s)} s; {percent(len(good) / len(done)) if done else '–'} of them "
            f"within {alpha:g} times their time alone; mean {seconds(mean)} s."
        ),
    }
