"""Which of Mooncake's dialects a file speaks: told by what its rows contain, and said.

Rows of one shape stand for different things: a hash for 16, 64 or 512 tokens, a time stamp for
milliseconds or seconds, a later row of a session for its whole prompt or for what is new in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from marsbench.formats.blocks import num_shared
from marsbench.formats.mooncake_rows import BLOCK, MooncakeRow
from marsbench.formats.reading import ReadError

SIZES = (512, 16, 64, 32, 128, 256, 1024, 2048)
"""Tokens of a block that are tried: Mooncake's and Dynamo's, Bailian's, WEKA's, others'."""

FITTING = 0.9
"""A size that as many of the rows fit is the file's; the others are wrong, and left out."""

MOST_PER_S = 2_000.0
"""Requests a second that nobody recorded: at more, the time stamps are no milliseconds."""

LEAST_ROWS = 10
"""Fewer rows than this show no rate."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a file's rows stand for.

    block: tokens a hash. unit_s: seconds of one of a time stamp's units. deltas: a later row of a
    session holds what is new in its prompt, without the replies. chats: Bailian's keys.
    covered: the hashes of a prompt may end before it does.
    """

    block: int = BLOCK
    unit_s: float = 1e-3
    deltas: bool = False
    chats: bool = False
    covered: bool = False

    def is_told(self, rows: Sequence[MooncakeRow]) -> bool:
        """Whether there is anything to say of it."""
        return bool(_times(rows)) or any(row.blocks.num for row in rows)

    def said(self, rows: Sequence[MooncakeRow]) -> str:
        """A sentence for the user; none of what is as Mooncake itself writes it."""
        units = {1.0: "seconds", 1e-3: "milliseconds", 1e-6: "microseconds", 1e-9: "nanoseconds"}
        parts = [f"{self.block} tokens a hash" if any(row.blocks.num for row in rows) else ""]
        parts.append("hashes that end before their prompt does" if self.covered else "")
        parts.append(f"time stamps in {units[self.unit_s]}" if _times(rows) else "")
        parts.append("later rows hold what is new in a prompt" if self.deltas else "")
        parts.append("Bailian's chats, whose pauses hold the server's time" if self.chats else "")
        return "read with " + ", ".join(part for part in parts if part)


def dialect_of(
    rows: Sequence[MooncakeRow], sessions: Mapping[str, Sequence[MooncakeRow]], stated: int | None
) -> Dialect:
    """What these rows speak; `stated`: the block size that the file itself names.

    Raises ReadError where they contradict each other.
    """
    chats = any(row.chat_id is not None for row in rows)
    block, covered = (stated, False) if stated else _block(rows)
    deltas = not chats and _are_deltas(sessions.values())
    return Dialect(block, _unit_s(rows, chats), deltas, chats, covered)


def wrong_rows(rows: Iterable[MooncakeRow], block: int) -> dict[str, str]:
    """By place what contradicts the block size: more hashes than the prompt has room for."""
    found = {}
    for row in rows:
        most = -(-row.prompt // block)
        if row.blocks.num > most:
            found[row.place] = (
                f"hash_ids: {row.blocks.num} are too many for {row.prompt:,} tokens, which "
                f"are {most} blocks of {block}"
            )
    return found


def _block(rows: Sequence[MooncakeRow]) -> tuple[int, bool]:
    """Tokens of a block, and whether hashes may end early. Raises ReadError."""
    shapes = Counter((row.prompt, row.blocks.num) for row in rows if row.blocks.num)
    total = sum(shapes.values())
    if not total:
        return BLOCK, False
    fitting = {size: _num_fitting(shapes, size) for size in SIZES}
    best = max(SIZES, key=lambda size: fitting[size])  # of equals the first
    if fitting[best] >= FITTING * total:
        return best, False
    roomy = sum(n for (prompt, count), n in shapes.items() if count <= -(-prompt // BLOCK))
    if roomy >= FITTING * total:
        return BLOCK, True
    sizes = ", ".join(map(str, sorted(SIZES)))
    first = next(row for row in rows if row.blocks.num)
    raise ReadError(
        f"its hash_ids fit no number of tokens a hash ({sizes} were tried): {first.place} has "
        f"{first.blocks.num} for {first.prompt:,} tokens"
    )


def _num_fitting(shapes: Mapping[tuple[int, int], int], size: int) -> int:
    """Rows with a hash for every block, or for every full one."""
    return sum(
        n for (prompt, count), n in shapes.items() if count in (-(-prompt // size), prompt // size)
    )


def _unit_s(rows: Sequence[MooncakeRow], chats: bool) -> float:
    """Seconds of a time stamp's unit: by its size where it is a date, else by the rate."""
    times = _times(rows)
    if not times:
        return 1e-3
    last, span = max(times), max(times) - min(times)
    for least, unit_s in ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3), (1e9, 1.0)):
        if last >= least:
            return unit_s
    rate = (len(times) - 1) / (span / 1000) if span > 0 else 0.0
    return 1.0 if chats or (len(times) >= LEAST_ROWS and rate > MOST_PER_S) else 1e-3


def _times(rows: Sequence[MooncakeRow]) -> list[float]:
    return [row.timestamp for row in rows if row.timestamp is not None]


def _are_deltas(sessions: Iterable[Sequence[MooncakeRow]]) -> bool:
    """Whether later rows hold what is new alone. Raises ReadError where some do and others not.

    AIPerf writes a later row's own blocks: none is one of the prompt before, which a whole prompt
    would begin with. Agentic rows say what they wait for, and are whole.
    """
    kinds = [
        num_shared(before.blocks, row.blocks) > 0
        for rows in sessions
        for before, row in pairwise(rows)
        if before.blocks.num and row.blocks.num and not row.wait_for and not row.prefix_reset
    ]
    return bool(kinds) and not any(kinds)


def in_milliseconds(row: MooncakeRow, unit_s: float) -> MooncakeRow:
    """With a time stamp in milliseconds."""
    if row.timestamp is not None and unit_s != 1e-3:
        row.timestamp = row.timestamp * (unit_s * 1000)
    return row
