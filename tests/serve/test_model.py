"""The model that is not there: its tokenizer, its chat template, its replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from marsbench.serve.model_folder import END_OF_TURN, FIRST_BYTE, VOCABULARY, write_model
from marsbench.serve.replies import UNASKED_TOKENS, Reply, ScriptedRequest

PROMPT = list(range(100, 300))
CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": {"at": 1}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model(folder, 4096)
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.vllm
def test_a_token_is_a_byte(tokenizer: Any) -> None:
    text = "naïve\n\n\t1.5 => {}"
    assert tokenizer.encode(text) == [FIRST_BYTE + b for b in text.encode()]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == VOCABULARY


@pytest.mark.vllm
def test_the_chat_template_shows_tools_calls_and_results(tokenizer: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "a door"},
    ]
    options = {"tools": [TOOL], "tokenize": False, "add_generation_prompt": True}
    text = tokenizer.apply_chat_template(messages, **options)
    assert text.startswith("<|im_start|>system\nBe brief.\nYou may call these tools:\n{")
    assert '<tool_call>{"name": "look", "arguments": {"at": 1}}</tool_call><|im_end|>\n' in text
    assert text.endswith("<|im_start|>tool\na door<|im_end|>\n<|im_start|>assistant\n")


def test_vllm_reads_the_end_of_turn_from_the_folder(tmp_path: Path) -> None:
    write_model(tmp_path / "model", 4096)
    found = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert found["eos_token_id"] == [END_OF_TURN]


def reply(prompt: list[int] = PROMPT, given: Any = None, limited: bool = True) -> list[int]:
    asked = ScriptedRequest("r", prompt, 10, {})
    made = Reply(asked, given, limited)
    return [made.token(i) for i in range(UNASKED_TOKENS + 1)]


def test_a_reply_follows_from_the_prompt() -> None:
    assert reply() == reply()
    assert reply() != reply(PROMPT[1:])
    assert reply() != reply([*PROMPT, 7])


def test_a_reply_ends_by_itself_only_where_no_length_was_asked() -> None:
    assert END_OF_TURN not in reply()
    assert reply(limited=False).index(END_OF_TURN) == UNASKED_TOKENS


def test_a_scripts_reply_is_said_and_then_the_turn_ends() -> None:
    assert reply(given=[50, 51])[:4] == [50, 51, END_OF_TURN, END_OF_TURN]
