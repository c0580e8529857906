"""A request's size and facts are read without changing it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marsbench.gateway.asked import Asked, read


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"prompt": [5, 6, 7]}, 3),
        ({"prompt": [[5, 6], [7]]}, 3),
        ({"prompt": "x" * 398}, 100),  # its quotes count
        ({"prompt": ["x" * 396]}, 100),
        ({"messages": ["x" * 196], "tools": ["x" * 196]}, 100),
        ({}, 0),
    ],
)
def test_tokens_of_a_prompt(body: dict[str, Any], tokens: int) -> None:
    assert read({}, json.dumps(body).encode()).num_prompt_tokens == tokens


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, Asked(None, 0)),
        ({"session_id": "", "prompt_cache_key": "k"}, Asked("k", 0)),
        ({"session_id": "s", "prompt_cache_key": "s"}, Asked("s", 0)),
        ({"session_id": "s", "prompt_cache_key": "p"}, Asked("s", 0, parent_id="p")),
        ({"vllm_xargs": {"marsbench_session": "s", "marsbench_last": 1}}, Asked("s", 0, True)),
        ({"session_id": "s", "vllm_xargs": {"marsbench_last": "0"}}, Asked("s", 0)),
        (
            {"session_id": "s", "vllm_xargs": {"marsbench_tools": ["user", "bash"]}},
            Asked("s", 0, tools=("user", "bash")),
        ),
        ({"session_id": "s", "vllm_xargs": {"marsbench_tools": 7}}, Asked("s", 0)),
        ({"session_id": "s", "vllm_xargs": {"marsbench_parent": "p"}}, Asked("s", 0, False, "p")),
    ],
)
def test_facts(body: dict[str, Any], asked: Asked) -> None:
    assert read({}, json.dumps(body).encode()) == asked
