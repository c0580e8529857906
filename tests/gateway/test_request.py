"""A request's size and facts are read without changing it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from multidict import CIMultiDict

from marsbench.gateway.naming import TENANT_HEADERS
from marsbench.gateway.request import RoundRequest, read


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
        ({}, RoundRequest(None, 0)),
        ({"session_id": "", "prompt_cache_key": "k"}, RoundRequest("k", 0)),
        ({"session_id": "s", "prompt_cache_key": "s"}, RoundRequest("s", 0)),
        ({"session_id": "s", "prompt_cache_key": "p"}, RoundRequest("s", 0, parent_id="p")),
        (
            {"vllm_xargs": {"marsbench_session": "s", "marsbench_last": 1}},
            RoundRequest("s", 0, True, tells=True),
        ),
        (
            {"session_id": "s", "vllm_xargs": {"marsbench_last": "0"}},
            RoundRequest("s", 0, tells=True),
        ),
        (
            {"session_id": "s", "vllm_xargs": {"marsbench_tools": ["user", "bash"]}},
            RoundRequest("s", 0, tools=("user", "bash"), tells=True),
        ),
        (
            {"session_id": "s", "vllm_xargs": {"marsbench_tools": 7}},
            RoundRequest("s", 0, tells=True),
        ),
        (
            {"session_id": "s", "vllm_xargs": {"marsbench_parent": "p"}},
            RoundRequest("s", 0, False, "p", tells=True),
        ),
        (
            {"session_id": "s", "vllm_xargs": {"marsbench_tenant": "blue"}},
            RoundRequest("s", 0, tenant="blue"),
        ),
    ],
)
def test_facts(body: dict[str, Any], asked: RoundRequest) -> None:
    assert read({}, json.dumps(body).encode()) == asked


@pytest.mark.parametrize("name", TENANT_HEADERS)
def test_a_header_names_the_tenant_before_the_body(name: str) -> None:
    body = {"session_id": "s", "vllm_xargs": {"marsbench_tenant": "blue"}}
    asked = read(CIMultiDict({name.lower(): "red"}), json.dumps(body).encode())
    assert asked == RoundRequest("s", 0, tenant="red")
