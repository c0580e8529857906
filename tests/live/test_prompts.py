"""Prompts are as long as the workload says, and share what the simulator's block hashes share."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from live.world import a_session
from marsbench.core.session import Cut, Prompt, Round, Session
from marsbench.core.sim.hashes import BlockWriters, SessionHashes
from marsbench.errors import UsageError
from marsbench.wall.live.prompts import PromptContext, TokenContext, Vocabulary
from marsbench.wall.live.text import Count, TextContext, Tokenizer, units

BLOCK = 4
MANY = Vocabulary(10_000, 99_999)  # so many that no two writers agree by chance


def prompts(session: Session) -> list[list[int]]:
    context = TokenContext(session)
    return [json.loads(context.prompt(prompt)) for prompt in session.prompts()]


@st.composite
def a_cut(draw: st.DrawFn) -> Cut | None:
    to = draw(st.integers(0, 30))
    return draw(st.sampled_from([None, Cut(to, draw(st.integers(0, to)))]))


rounds = st.builds(Round, st.integers(0, 12), st.integers(1, 6), cut=a_cut())
sessions = st.builds(
    lambda name, group, prefix, first, later: Session(
        name,
        (Round(prefix + first, 3), *later),
        prefix_group=group,
        prefix_tokens=prefix,
    ),
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, "g", "h"]),
    st.integers(0, 14),
    st.integers(1, 9),
    st.lists(rounds, max_size=4),
)


@given(st.lists(sessions, min_size=2, max_size=2, unique_by=lambda session: session.id))
def test_two_blocks_are_alike_exactly_where_their_hashes_are(pair: list[Session]) -> None:
    """A block of vLLM's is its tokens and all before them."""
    tokens: dict[tuple[int, ...], bytes] = {}
    hashes: dict[bytes, tuple[int, ...]] = {}
    writers = BlockWriters()
    for session in pair:
        hashed, context = SessionHashes(session, writers, BLOCK), TokenContext(session, MANY)
        for prompt in session.prompts():
            hashed.start_round(prompt)
            ids = json.loads(context.prompt(prompt))
            for number, block in enumerate(hashed.upto(prompt.num_tokens)):
                upto = tuple(ids[: (number + 1) * BLOCK])
                assert tokens.setdefault(upto, block) == block
                assert hashes.setdefault(block, upto) == upto


@pytest.mark.parametrize("answer", [[7, 70000, 8, 9], [7, 8], None])
def test_branches_share_exactly_the_context_that_they_take_over(answer: list[int] | None) -> None:
    """Answers included, as far as they are known; what is not is the parent's stream."""
    parent = Session("p", (Round(10, 4), Round(5, 4)))
    context = TokenContext(parent, MANY)
    first, second = parent.prompts()
    context.prompt(first)
    asyncio.run(context.answered(answer, "", first))
    a, b = (Session(name, (Round(20, 1),), fork_tokens=14) for name in "ab")
    texts = [json.loads(context.fork(one).prompt(next(one.prompts()))) for one in (a, b)]
    own = json.loads(context.prompt(second))
    assert texts[0][:14] == texts[1][:14] == own[:14]
    assert len({tuple(text[14:]) for text in (*texts, own)}) == 3


def test_a_branch_of_a_text_begins_with_its_parents() -> None:
    parent = a_session("p", rounds=2, output=4)
    context = TextContext(parent, BYTES)
    first, second = parent.prompts()
    context.prompt(first)
    asyncio.run(context.answered(None, "ANSW", first))
    length = first.num_tokens + 4
    branch = Session("b", (Round(length + 6, 1),), fork_tokens=length)
    text, own = text_of(context.fork(branch), next(branch.prompts())), text_of(context, second)
    assert text[:length] == own[:length]
    assert text.endswith("ANSW", 0, length)
    assert text[length:] != own[length:][: len(text) - length]


@given(sessions)
def test_every_prompt_has_its_length(session: Session) -> None:
    assert [len(p) for p in prompts(session)] == [p.num_tokens for p in session.prompts()]


def test_the_same_session_has_the_same_tokens_in_every_run() -> None:
    session = Session("s", (Round(6, 1),), prefix_group="g", prefix_tokens=3)
    assert prompts(session) == [[255, 103, 136, 235, 105, 200]]


def test_what_the_model_answered_is_part_of_the_next_prompt() -> None:
    session = a_session("s", rounds=2, output=4)
    context = TokenContext(session)
    first, second = session.prompts()
    before = json.loads(context.prompt(first))
    asyncio.run(context.answered([7, 70000, 8, 9], "", first))
    after = json.loads(context.prompt(second))
    assert after[: len(before) + 4] == [*before, 7, 70000, 8, 9]
    assert len(after) == second.num_tokens


@pytest.mark.parametrize("answer", [[1, 2], [1, 2, 3, 4, 5, 6, 7], None])
def test_an_answer_of_another_length_changes_no_prompts_length(answer: list[int] | None) -> None:
    session = a_session("s", rounds=2, output=4)
    context = TokenContext(session)
    first, second = session.prompts()
    context.prompt(first)
    asyncio.run(context.answered(answer, "", first))
    assert len(json.loads(context.prompt(second))) == second.num_tokens


def test_a_cut_keeps_answers_of_any_width() -> None:
    session = Session("s", (Round(4, 3), Round(2, 1, cut=Cut(6, 6))))
    context = TokenContext(session)
    first, second = session.prompts()
    before = json.loads(context.prompt(first))
    asyncio.run(context.answered([5, 151000, 42], "", first))
    assert json.loads(context.prompt(second))[:6] == [*before, 5, 151000]


# --- text


def words(text: str) -> int:
    return len(text.split())


def tokenizer(count: Count) -> Tokenizer:
    async def later(text: str) -> int:
        return count(text)

    return Tokenizer(later, units(count))


BYTES, WORDS = tokenizer(len), tokenizer(words)


def test_units_are_words_where_those_are_tokens_and_letters_where_bytes_are() -> None:
    assert " the" in WORDS.units.texts
    assert set(BYTES.units.texts) == set("abcdefghijklmnopqrstuvwxyz")


def after_a_space(text: str) -> int:
    """As of Llama 2: a text gets a space before it, which is a token where one is there already."""
    return words(text) + text.startswith(" ")


def test_a_tokenizer_that_writes_a_space_first_has_that_before_its_units() -> None:
    assert units(after_a_space).lead == 1
    assert units(words).lead == 0


def test_a_tokenizer_without_either_is_refused() -> None:
    with pytest.raises(UsageError, match="--prompts ids"):
        units(lambda text: 2 * len(text))


def text_of(context: PromptContext, prompt: Prompt) -> str:
    found: str = json.loads(context.prompt(prompt))
    return found


@pytest.mark.parametrize("count", [len, words, after_a_space])
@settings(max_examples=25)
@given(sessions)
def test_every_text_has_its_length(count: Count, session: Session) -> None:
    context = TextContext(session, tokenizer(count))
    for prompt in session.prompts():
        assert count(text_of(context, prompt)) == max(prompt.num_tokens, units(count).lead + 1)
        asyncio.run(
            context.answered(None, " and so" * 4, prompt)
        )  # often longer than was asked for


def test_text_grows_at_its_end_and_holds_the_answer() -> None:
    session = a_session("s", rounds=3, output=4)
    context = TextContext(session, BYTES)
    texts = []
    for prompt in session.prompts():
        texts.append(text_of(context, prompt))
        asyncio.run(context.answered(None, "ANSW", prompt))
    for before, after in pairwise(texts):
        assert after.startswith(before + "ANSW")


def test_sessions_of_a_group_begin_with_the_same_text() -> None:
    a, b = (Session(n, (Round(40, 1),), prefix_group="g", prefix_tokens=30) for n in "ab")
    texts = [text_of(TextContext(s, BYTES), next(s.prompts())) for s in (a, b)]
    assert texts[0][:30] == texts[1][:30]
    assert texts[0][30:] != texts[1][30:]
