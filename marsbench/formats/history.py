"""How one prompt came from the one before: what was appended, and what was cut first.

Either way the prompt is exactly as long as recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.core.session import Cut


@dataclass(frozen=True, slots=True)
class Lengths:
    """A recorded call: tokens of its prompt and output, and hashes of the prompt's blocks."""

    prompt: int
    output: int
    hash_ids: Sequence[int] = ()


def grown_by_hashes(
    before: Lengths | None, call: Lengths, block: int, needed: int
) -> tuple[Cut | None, int]:
    """The cut, if any, and the appended tokens; `needed` shared blocks mean that it went on.

    A break in the hashes is a cut that keeps the shared blocks.
    """
    if before is None:
        return None, call.prompt
    return grown_from(before, call, shared_blocks(before.hash_ids, call.hash_ids), block, needed)


def grown_from(
    before: Lengths, call: Lengths, shared: int, block: int, needed: int
) -> tuple[Cut | None, int]:
    """The same where the leading blocks that both have were counted: `shared`."""
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
    if type(before) is not type(after):  # an array equals no list
        before, after = list(before), list(after)
    low, high = 0, min(len(before), len(after))
    if before[:high] == after[:high]:
        return high
    # The first `low` are the same and the first `high` are not: slices compare at C's speed.
    while high - low > 1:
        middle = (low + high) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle
    return low


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
