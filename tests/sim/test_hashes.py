"""Block hashes stand for tokens: equal exactly where the tokens before them are equal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.session import Cut, Prompt, Round, Session, ToolCall
from marsbench.core.sim.hashes import BlockWriters, SessionHashes, TokenCount
from marsbench.shortcuts.keys import writer_of
from tests.sim.worlds import workloads

SIZE = 16


def hashes_of(session: Session, writers: BlockWriters, size: int = SIZE) -> list[list[bytes]]:
    """The block hashes of every prompt."""
    return [found for _, found in hashed(session, SessionHashes(session, writers, size))]


def hashed(session: Session, own: SessionHashes) -> Iterator[tuple[Prompt, list[bytes]]]:
    """Each prompt with its block hashes; when the next is asked for, the round has ended."""
    for prompt in session.prompts():
        own.start_round(prompt)
        yield prompt, list(own.upto(prompt.num_tokens))
        own.upto(prompt.num_tokens + prompt.output_tokens)


def tokens_of(session: Session, prompt: Prompt, answered: bool = False) -> list[tuple[str, int]]:
    """Every token of a prompt as (who wrote it and when, position)."""
    length = prompt.num_tokens + (prompt.output_tokens if answered else 0)
    edges = [*prompt.edges, (length, prompt.epoch)]
    tokens: list[tuple[str, int]] = []
    for end, epoch in edges:
        tokens += [(f"{session.id}@{epoch}", i) for i in range(len(tokens), end)]
    oldest = edges[0][0] if edges[0][1] == 0 else 0  # tokens that are as the session began
    shared = min(session.prefix_tokens, oldest) if session.prefix_group else 0
    return [(f"{session.prefix_group}", i) if i < shared else t for i, t in enumerate(tokens)]


def test_a_round_finds_the_blocks_of_the_rounds_before_it() -> None:
    first, second = hashes_of(Session("a", (Round(100, 20), Round(60, 1))), BlockWriters())
    assert len(first) == 100 // SIZE
    assert len(second) == 180 // SIZE
    assert second[: len(first)] == first


def test_sessions_of_a_group_share_whole_blocks_of_their_prefix_and_nothing_else() -> None:
    writers = BlockWriters()
    group = {"prefix_group": "g", "prefix_tokens": 40}
    (a,) = hashes_of(Session("a", (Round(100, 1),), **group), writers)
    (b,) = hashes_of(Session("b", (Round(100, 1),), **group), writers)
    assert [x == y for x, y in zip(a, b, strict=True)] == [True, True, False, False, False, False]


def test_sessions_without_a_group_share_nothing() -> None:
    writers = BlockWriters()
    (a,) = hashes_of(Session("a", (Round(64, 1),)), writers)
    (b,) = hashes_of(Session("b", (Round(64, 1),)), writers)
    assert not set(a) & set(b)


def test_a_cut_keeps_the_blocks_before_it_and_writes_the_others_anew() -> None:
    session = Session("a", (Round(160, 1), Round(10, 1, cut=Cut(100, kept_tokens=50))))
    before, after = hashes_of(session, BlockWriters())
    assert after[:3] == before[:3]  # 48 of the 50 kept tokens are whole blocks
    assert not set(after[3:]) & set(before)


def test_an_evicted_block_names_its_owner() -> None:
    writers = BlockWriters()
    session = Session("a", (Round(64, 1),), prefix_group="g", prefix_tokens=32)
    (found,) = hashes_of(session, writers)
    assert [writers.owners[writer_of(h)] for h in found] == ["prefix:g", "prefix:g", "a", "a"]


def test_a_key_is_small_for_there_is_one_for_every_block() -> None:
    """Python keeps bytes in steps of 16: one byte more than 15 would take a third more memory."""
    own = SessionHashes(Session("a", (Round(64, 1),)), BlockWriters(), SIZE)
    (size,) = {sys.getsizeof(key) for key in own.upto(64).keys}
    assert size <= 48


def written(
    session: Session,
    writers: BlockWriters,
    own: SessionHashes | None = None,
    taken: Sequence[tuple[str, int]] = (),
) -> Iterator[tuple[list[tuple[str, int]], list[bytes]]]:
    """Tokens and block hashes of every prompt, those of the sessions below it too.

    taken: the tokens of the parent's context that it begins with.
    """
    own = own or SessionHashes(session, writers, SIZE)
    for prompt, hashes in hashed(session, own):
        context = taken_over(tokens_of(session, prompt), prompt, taken)
        yield context, hashes
        whole = taken_over(tokens_of(session, prompt, answered=True), prompt, taken)
        own.upto(len(whole))
        for call in session.rounds[prompt.round].tools:
            if call.child is not None:
                forked = own.fork(call.child) if call.child.fork_tokens else None
                begun = whole[: call.child.fork_tokens]
                yield from written(call.child, writers, forked, begun)


def taken_over(
    tokens: list[tuple[str, int]], prompt: Prompt, taken: Sequence[tuple[str, int]]
) -> list[tuple[str, int]]:
    """With the tokens of before in the place of those that are as the session began."""
    oldest = (*prompt.edges, (len(tokens), prompt.epoch))[0]
    kept = taken[: oldest[0]] if oldest[1] == 0 else []
    return [*kept, *tokens[len(kept) :]]


def test_a_branch_has_the_full_blocks_of_the_context_that_it_takes_over() -> None:
    branch = Session("b", (Round(60, 1),), fork_tokens=50)
    parent = Session("a", (Round(40, 20, (ToolCall("branch", "agent", child=branch),)),))
    (_, own), (_, forked) = written(parent, BlockWriters())
    assert (len(own), len(forked)) == (2, 3)
    assert forked[:2] == own  # and the third, in which its answer began, is the parent's too
    assert writer_of(forked[2]) == writer_of(own[0])


@settings(max_examples=20)
@given(workload=workloads())
def test_equal_hashes_mean_equal_tokens_up_to_there(workload: list[Session]) -> None:
    writers = BlockWriters()
    seen: dict[bytes, int] = {}
    texts: dict[tuple[object, ...], int] = {}  # (the text before, then a block's tokens)
    for root in workload:
        for tokens, hashes in written(root, writers):
            text = 0
            for i, block_hash in enumerate(hashes):
                longer = (text, *tokens[i * SIZE : (i + 1) * SIZE])
                text = texts.setdefault(longer, len(texts) + 1)
                assert seen.setdefault(block_hash, text) == text
    assert len(set(seen.values())) == len(seen)  # and equal tokens mean equal hashes


@given(count=st.integers(0, 50), more=st.integers(0, 20))
def test_a_token_count_is_as_long_as_the_list_it_stands_for(count: int, more: int) -> None:
    tokens, real = TokenCount(count), [0] * count
    copy = tokens.copy()
    tokens.extend([7] * more)
    tokens.append(7)
    real.extend([7] * more)
    real.append(7)
    assert (len(tokens), len(copy)) == (len(real), count)
