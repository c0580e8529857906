"""What the rounds of a session need at least: tokens to compute, in the best of caches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from marsbench.core.rounds import ComputedTokens
from marsbench.core.session import Session, ToolCall


@dataclass(frozen=True, slots=True)
class Need:
    """A round: prompt tokens from `cached` to `prompt` are computed, then `output` are generated.

    shared: leading tokens of the context whose blocks another session may hold too.
    calls: the tools that the next round waits for.
    """

    cached: int
    prompt: int
    output: int
    shared: int
    calls: tuple[ToolCall, ...]


def shared_groups(sessions: Sequence[Session]) -> frozenset[str]:
    """Prefix groups of two sessions or more: any of them may find the prefix computed."""
    counted = Counter(s.prefix_group for root in sessions for s in root.walk() if s.prefix_group)
    return frozenset(group for group, count in counted.items() if count > 1)


def needs(session: Session, groups: frozenset[str], block_size: int) -> Iterator[Need]:
    """Of every round, in order.

    Own tokens are found again in whole blocks; a shared prefix is found whoever computed it, and
    so is the context that a branch takes over.
    """
    shared = session.prefix_tokens if session.prefix_group in groups else session.fork_tokens
    computed = ComputedTokens(num_tokens=shared)
    last = len(session.rounds) - 1
    for prompt in session.prompts():
        computed.begin(prompt)
        cached = computed.reusable(prompt.num_tokens, block_size)
        calls = () if prompt.round == last else session.rounds[prompt.round].tools
        yield Need(cached, prompt.num_tokens, prompt.output_tokens, shared, calls)
        computed.end(prompt)
