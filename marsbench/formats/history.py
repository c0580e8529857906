"""How one prompt came from the one before: what was appended, and what was cut first.

Either way the prompt is exactly as long as recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from marsbench.core.session import Cut


class Lengths(Protocol):
    """A recorded call: tokens of its prompt and of its output."""

    @property
    def prompt(self) -> int: ...
    @property
    def output(self) -> int: ...


class Hashed(Lengths, Protocol):
    """A recorded call whose prompt's blocks are named by hashes."""

    @property
    def hash_ids(self) -> Sequence[int]: ...


def grown_by_hashes(
    before: Hashed | None, call: Hashed, block: int, needed: int
) -> tuple[Cut | None, int]:
    """The cut, if any, and the appended tokens; `needed` shared blocks mean that it went on.

    A break in the hashes is a cut that keeps the shared blocks.
    """
    if before is None:
        return None, call.prompt
    shared = shared_blocks(before.hash_ids, call.hash_ids)
    goes_on = shared >= needed
    grown = call.prompt - before.prompt - before.output
    if goes_on and grown >= 0:
        return None, grown
    # Where the history went on but is shorter, output was dropped (thinking), history kept.
    history = before.prompt if goes_on and call.prompt >= before.prompt else shared * block
    kept = min(history, call.prompt)
    return Cut(kept, kept), call.prompt - kept


def shared_blocks(before: Sequence[int], after: Sequence[int]) -> int:
    """How many leading blocks are the same."""
    for number, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return number
    return min(len(before), len(after))


def grown_by_lengths(
    before: Lengths | None, call: Lengths, kept: int | None = None, prefix: int = 0
) -> tuple[Cut | None, int]:
    """The same where only lengths are known.

    kept: leading tokens known to be unchanged, when it is known that the context was cut.
    A prompt shorter than the one before keeps the shared prefix alone: what else it keeps is
    not known, and a cache hit that may not have been is not assumed.
    """
    if before is None:
        return None, call.prompt
    grown = call.prompt - before.prompt - before.output
    if kept is None and grown >= 0:
        return None, grown
    if kept is None:
        kept = before.prompt if call.prompt >= before.prompt else prefix
    kept = min(kept, call.prompt)
    return Cut(kept, kept), call.prompt - kept
