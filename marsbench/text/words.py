"""Names and sentences as text: lists of them, and lines that are short enough."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence


def listed(items: Sequence[str], most: int | None = None) -> str:
    """ "a, b and c"; of more than `most`, the first ones and how many others."""
    shown = list(items[:most])
    if len(items) > len(shown):
        return f"{', '.join(shown)} and {len(items) - len(shown)} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def few(items: Sequence[str], most: int = 3) -> str:
    """All of them, or the first ones and how many more, where that spares two or more."""
    return listed(items, most) if len(items) > most + 1 else listed(items)


def quoted(names: Sequence[str]) -> list[str]:
    """Names as code."""
    return [f"`{name}`" for name in names]


def bulleted(items: Iterable[str]) -> str:
    """A list for Markdown."""
    return "\n".join(f"- {item}" for item in items)


def capital(text: str) -> str:
    """With a capital at its beginning."""
    return text[:1].upper() + text[1:]


def gpu_in(hardware: Mapping[str, object]) -> str:
    """ "h200", or "h200x4" where four share a model, of what a run tells; it may tell nothing."""
    gpu, several = hardware.get("gpu"), hardware.get("tensor_parallel")
    if gpu is None:
        return str(hardware.get("id", ""))
    return str(gpu) if several in (None, 1) else f"{gpu}x{several}"


def mix_in(meta: Mapping[str, object]) -> str | None:
    """ "autonomous", or "autonomous, tenants greedy:4": a workload's mix of tools, and of tenants
    where it has several, as its `meta` says; None where it says neither."""
    named = [meta.get("tools"), meta.get("tenants")]
    tools, tenants = (name if isinstance(name, str) else None for name in named)
    return tools if tenants is None else f"{tools or 'of the file'}, tenants {tenants}"


def with_tools(workload: str, tools: object) -> str:
    """ "ilr-1, tools autonomous": a workload with the mix that its figures hold for, where it has
    one; recorded sessions have none."""
    return f"{workload}, tools {tools}" if isinstance(tools, str) else workload


def each(values: Sequence[str]) -> list[str]:
    """Every value once, in order of first appearance."""
    return list(dict.fromkeys(values))


_PIECES = re.compile(r"[^\s\-_/,=:]*[\s\-_/,=:]?")


def pieces(text: str, most: int) -> list[str]:
    """The text in parts between which a line may break, none longer than `most` letters."""
    found = [part for part in _PIECES.findall(text) if part]
    return [part[i : i + most] for part in found for i in range(0, len(part), most)]


BREAK = "\u200b"
"""A place at which a line may break, of no width."""
UNBROKEN = 14
"""Letters of a word in a table that no line breaks in."""
_OPPORTUNITY = re.compile(rf"[ {BREAK}]|(?<=-)(?=[^\W\d])")


def breakable(cell: str) -> str:
    """The text with places to break in words that are too long for a column."""
    return " ".join(
        BREAK.join(pieces(word, UNBROKEN)) if len(word) > UNBROKEN else word
        for word in cell.split(" ")
    )


def unbroken(cell: str) -> list[str]:
    """The parts of a cell between which a line may break."""
    return [part for part in _OPPORTUNITY.split(breakable(cell).replace("`", "")) if part]


def wrapped(text: str, most: int, most_lines: int = 3) -> str:
    """The text on lines of at most `most` letters, broken after spaces, dashes and the like.

    What is longer than so many lines ends in an ellipsis: tables have names whole.
    """
    lines = [line for given in text.split("\n") for line in _lines(given, most)]
    if len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], lines[most_lines - 1][: most - 1] + "…"]
    return "\n".join(lines)


def _lines(text: str, most: int) -> list[str]:
    lines = [""]
    for part in pieces(text, most):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > most:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]
