"""Tables in Markdown, and what a place is called in them."""

from __future__ import annotations

from collections.abc import Sequence


def name_of(place: tuple[str, float | None]) -> str:
    return place[0] + ("" if place[1] is None else f" at load {place[1]:g}")


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def heading(cells: Sequence[str]) -> list[str]:
    """The head of a table and the line below it."""
    return [line(cells), "|" + " --- |" * len(cells)]
