"""How each backend looks: one colour, marker and dash in every figure of every report.

The colours are Okabe and Ito's and Tol's muted ones, which stay apart for colour-blind readers.
Markers differ throughout, so that a print in grey can be read as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Dash = tuple[float, ...]
"""Lengths drawn and left out by turns, in line widths; none of them: a solid line."""
Marker = str | tuple[int, int, int]
"""As matplotlib names them; (points, 1, angle) is a star. All are shapes that can be filled."""

SOLID: Dash = ()
LONG: Dash = (8, 1.5)
DASHED: Dash = (3.5, 1.2)
DOTTED: Dash = (1, 1.1)
DASHDOT: Dash = (4, 1.2, 1, 1.2)


@dataclass(frozen=True, slots=True)
class Look:
    """A line's colour (#rrggbb), marker and dash; hollow markers stand for a variant."""

    color: str
    marker: Marker
    dash: Dash = SOLID
    hollow: bool = False
    width: float = 1.0


LOOKS = {
    "fcfs": Look("#000000", "o"),
    "autellix": Look("#56B4E9", "^", LONG),
    "autellix-atlas": Look("#2F86B7", "<", DASHED, hollow=True),
    "infercept": Look("#E69F00", "D"),
    "infercept-static": Look("#9A6A00", "d", DASHED, hollow=True),
    "continuum": Look("#009E73", "v"),
    "continuum-static": Look("#005C43", ">", DASHED, hollow=True),
    "concur": Look("#4477AA", (3, 0, 180), LONG),
    "affinity": Look("#BB5566", (3, 0, 270), DOTTED),
    "thunderagent": Look("#882E72", (4, 1, 0), SOLID),
    "aios-fifo": Look("#A05195", (5, 0, 0), DASHDOT, hollow=True),
    "aios-rr": Look("#7A4A2B", (3, 1, 90), DASHED),
    "vtc": Look("#4B7A2B", (4, 0, 45), DASHDOT),
    "las": Look("#7A86C8", (9, 1, 0), DASHDOT, hollow=True),
    "progress-ttl": Look("#CC3311", (5, 0, 90), LONG),
    "retention": Look("#B8860B", (5, 1, 36), DASHED),
    "t-lru": Look("#5B7553", (6, 0, 0), DOTTED, hollow=True),
    "berth": Look("#004D40", (10, 1, 0), width=1.5),
    "fcfs-cap": Look("#7F7F7F", "s", DASHED),
    "mars": Look("#D55E00", "*", width=1.5),
    "mars-published": Look("#A63603", (7, 1, 0), DASHED),
    "mars-released": Look("#CC79A7", "X", DASHDOT),
    "oracle": Look("#0072B2", "P", DOTTED),
    "clairvoyant": Look("#003F66", (5, 1, 0), LONG),
    "mars-no-coordinator": Look("#882255", "p", DASHDOT),
    "mars-no-admission": Look("#999933", "h", DASHED),
    "mars-no-opportunistic": Look("#44AA99", "H", DOTTED, hollow=True),
    "mars-no-shrinking": Look("#6B7D1E", (6, 1, 30), LONG, hollow=True),
    "mars-no-retention": Look("#332288", "8", DASHDOT, hollow=True),
}
"""Backends in the order in which legends name them: baselines, the control, MARS, the bound."""

ALONE_COLOR = "#D5D9DD"
CAUSE_COLORS = {
    "admission_s": "#000000",
    "queue_s": "#E69F00",
    "recompute_s": "#D55E00",
    "found_s": "#009E73",
    "contention_s": "#0072B2",
    "agents_s": "#CC79A7",
    "tools_s": "#7F8790",
    "rest_s": "#56B4E9",
}
"""Of the causes of a slowdown (judge/why), wherever they are drawn."""

SPARE = (
    Look("#AA4499", (3, 1, 0), DASHED),
    Look("#117733", (4, 1, 45), DASHDOT),
    Look("#661100", (6, 1, 0), DOTTED),
    Look("#6699CC", (8, 1, 0), DASHED),
    Look("#888888", (5, 0, 180), DASHDOT),
    Look("#CC6677", (3, 0, 90), DOTTED),
)
"""For backends of others, by name; a seventh looks like the first."""


def is_ablation(name: str) -> bool:
    """Whether a backend is another one without a part: those have figures of their own."""
    return "-no-" in name


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """The looks of these backends, in the order of legends; those of others come last."""
    given = set(names)
    others = sorted(given - LOOKS.keys())
    spare = {name: SPARE[number % len(SPARE)] for number, name in enumerate(others)}
    return {name: look for name, look in {**LOOKS, **spare}.items() if name in given}


def luminance(color: str) -> float:
    """How light a colour prints in grey: 0 is black, 1 is white (Rec. 709 weights)."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
