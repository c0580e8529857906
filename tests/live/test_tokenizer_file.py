"""`--prompts text:tokenizer.json`: text that a server with that tokenizer counts to the token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from live.world import Call, play, send, serving, sessions
from marsbench.errors import UsageError
from marsbench.wall.live.text import WORDS, file_tokenizer

tokenizers = pytest.importorskip("tokenizers")
pytestmark = pytest.mark.vllm  # which brings the library
UNKNOWN = 12
"""Words of the list that the small tokenizer has not learnt."""


def trained(change: Callable[[Any], None] = lambda _: None) -> Any:
    """A byte-level BPE, as of most models, that knows most of the common words."""
    level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer, made.decoder = level, tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=5000,
        special_tokens=["<s>"],
        initial_alphabet=level.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([f" {' '.join(WORDS[UNKNOWN:])}"] * 2, trainer)
    change(made)
    return made


def with_limits(made: Any) -> None:
    """As files have them that were written after training: a length, and a first token."""
    made.enable_truncation(24)
    made.enable_padding(length=30)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )


@pytest.mark.parametrize("change", [lambda _: None, with_limits], ids=["plain", "with limits"])
@pytest.mark.parametrize("how", [{}, {"endpoint": "chat"}], ids=["completions", "chat"])
def test_a_prompt_has_its_length_by_the_servers_own_count(
    tmp_path: Path, how: dict[str, Any], change: Callable[[Any], None]
) -> None:
    """A server without /tokenize, that counts with the same tokenizer."""
    theirs = trained()

    def count(call: Call) -> int:
        assert isinstance(call.prompt, str)
        return len(theirs.encode(call.prompt).ids)

    async def script(call: Call) -> web.StreamResponse:
        usage = {"prompt_tokens": count(call), "completion_tokens": call.body["max_tokens"]}
        if not call.body.get("stream"):
            return web.json_response({"choices": [], "usage": usage})
        response = await call.begin()
        for number in range(call.body["max_tokens"]):
            await call.token(response, number)
        await send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        return response

    file = tmp_path / "tokenizer.json"
    trained(change).save(str(file))
    with serving(script, owned_by="somebody") as server:
        done = play(tmp_path, server.url, sessions(2), prompts=f"text:{file}", **how)
    assert set(done.ends.values()) == {None}
    rounds = [call for call in server.calls if call.body.get("stream")]
    assert {count(call) for call in rounds} == {32, 32 + 4 + 32}
    assert done.client["rounds_with_another_prompt_length"] == 0
    template = done.client["chat_template"]
    assert (template and template["how"]) == ("usage" if how else None)


def test_words_that_it_does_not_know_are_left_out(tmp_path: Path) -> None:
    made = trained()
    made.save(str(tmp_path / "t.json"))
    units = file_tokenizer(tmp_path / "t.json").units.texts
    assert all(len(made.encode(unit).ids) == 1 for unit in units)
    assert " of" not in units
    assert " about" in units


@pytest.mark.parametrize("text", [None, "{}", "words"])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "t.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=r"t\.json is not a tokenizer\.json"):
        file_tokenizer(file)
