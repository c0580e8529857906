"""The folder of the model that is not there: a shape, a tokenizer and a chat template.

One token is one byte of UTF-8, so a text of N ASCII characters is N tokens. Replies can be read,
tools can be offered and called (in the way of Hermes and Qwen: JSON between <tool_call> tags).
"""

from __future__ import annotations

import json
from pathlib import Path

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
END_OF_TURN = SPECIAL.index("<|im_end|>")
FIRST_BYTE = 8
"""The id of byte 0; the id of byte b is FIRST_BYTE + b."""
VOCABULARY = 1024
"""Ids beyond the bytes are never made from text; a client that draws prompts may send them."""
LETTERS = tuple(FIRST_BYTE + b for b in b"etaoin shrdlu cmfwypvbgkjqxz ")

# Transformers drops the newline after a block, so one that is meant is written as a string.
TEMPLATE = """\
{%- set opening = messages[0].content if messages[0].role == 'system' else '' -%}
{%- if opening or tools -%}
{{- '<|im_start|>system\\n' ~ opening -}}
{%- if tools -%}
{{- '\\nYou may call these tools:\\n' -}}
{%- for tool in tools -%}{{- tool | tojson ~ '\\n' -}}{%- endfor -%}
{{- 'Call one as <tool_call>{"name": ..., "arguments": ...}</tool_call>.' -}}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if not (loop.first and message.role == 'system') -%}
{{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') -}}
{%- for call in message.tool_calls or [] -%}
{%- set given = call.function.arguments -%}
{%- set arguments = given if given is string else given | tojson -%}
{{- '\\n<tool_call>{"name": ' ~ call.function.name | tojson -}}
{{- ', "arguments": ' ~ arguments ~ '}</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def write_model(folder: Path, max_model_len: int) -> None:
    """Write everything that vLLM reads of a model but its weights."""
    folder.mkdir(parents=True)
    _write(folder / "config.json", _shape(max_model_len))
    ends = [END_OF_TURN]
    _write(folder / "generation_config.json", {"eos_token_id": ends, "do_sample": False})
    _write(folder / "tokenizer_config.json", _tokenizer_config(max_model_len))
    _write(folder / "tokenizer.json", _tokenizer())


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def _shape(max_model_len: int) -> dict[str, object]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "eos_token_id": END_OF_TURN,
        "head_dim": 32,
        "hidden_act": "silu",
        "hidden_size": 64,
        "intermediate_size": 128,
        "max_position_embeddings": max_model_len,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY,
    }


def _tokenizer_config(max_model_len: int) -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": SPECIAL[END_OF_TURN],
        "pad_token": SPECIAL[0],
        "model_max_length": max_model_len,
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }


def _tokenizer() -> dict[str, object]:
    """A byte-level BPE without a single merge."""
    spare = [f"<|spare_{i}|>" for i in range(len(SPECIAL), FIRST_BYTE)]
    unused = [f"<{i}>" for i in range(FIRST_BYTE + 256, VOCABULARY)]
    names = [*SPECIAL, *spare, *_byte_names(), *unused]
    vocabulary = {name: i for i, name in enumerate(names)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            # A tool call's tags are text: parsers of tool calls look for them in the reply.
            {"id": i, "content": name, **flags, "special": "tool_call" not in name}
            for i, name in enumerate([*SPECIAL, *spare])
        ],
        "normalizer": None,
        "pre_tokenizer": {**level, "use_regex": False},
        "post_processor": None,
        "decoder": {**level, "use_regex": False},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }


def _byte_names() -> list[str]:
    """The characters by which byte-level tokenizers write the 256 bytes (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b if b in printable else next(others)) for b in range(256)]
