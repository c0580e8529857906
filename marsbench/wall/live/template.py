"""How many tokens a server's chat template adds to a text: measured, before a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from marsbench.errors import UsageError
from marsbench.wall.live.chat import CHAT, Template
from marsbench.wall.live.client import said, why
from marsbench.wall.server import Server, headers

# A probe is a request like any other, and the first one that a server gets may take its time.
ANSWER_S = 60.0
PROBE_UNITS = 16


def measure(server: Server, units: Sequence[str]) -> Template:
    """By /tokenize, which can say where the tokens stand, or by two probes of one token each.

    units: texts of one token each. Raises UsageError when neither tells.
    """
    with httpx.Client(timeout=ANSWER_S, headers=headers(), trust_env=False) as client:
        return _by_tokenize(client, server, units) or _by_usage(client, server, units)


def _by_tokenize(client: httpx.Client, server: Server, units: Sequence[str]) -> Template | None:
    """Two texts that differ from their first unit to their last; None where it does not work."""
    chosen = units[:PROBE_UNITS]
    one = _tokens(client, server, chosen)
    two = _tokens(client, server, chosen[::-1])
    if one is None or two is None or one == two or not len(one) == len(two) >= len(chosen):
        return None
    head = next(n for n, (a, b) in enumerate(zip(one, two, strict=True)) if a != b)
    behind = head + len(chosen)
    if one[behind:] != two[behind:]:
        return None
    return Template(len(one) - len(chosen), head, "tokenize")


def _tokens(client: httpx.Client, server: Server, units: Sequence[str]) -> list[int] | None:
    try:
        answer = client.post(f"{server.root}/tokenize", json=_message(server, units))
        tokens = answer.raise_for_status().json()["tokens"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
    return tokens if isinstance(tokens, list) else None


def _by_usage(client: httpx.Client, server: Server, units: Sequence[str]) -> Template:
    added = {
        _told(client, server, units[:number]) - number for number in (PROBE_UNITS // 2, PROBE_UNITS)
    }
    tokens = added.pop()
    if added or tokens < 0:
        raise UsageError(
            f"{server.root} does not count a chat's tokens as the tokenizer does that --prompts "
            "names; give the tokenizer.json of the model that it serves."
        )
    return Template(tokens, None, "usage")


def _told(client: httpx.Client, server: Server, units: Sequence[str]) -> int:
    """Tokens of the prompt that holds this text, as the server counts them."""
    body = {**_message(server, units), "max_tokens": 1, "temperature": 0}
    try:
        answer = client.post(f"{server.root}{CHAT.path}", json=body)
    except httpx.HTTPError as error:
        raise _no_chat(server, why(error)) from error
    if answer.status_code != 200:
        raise _no_chat(server, f"HTTP {answer.status_code}: {said(answer.content)}")
    try:
        return int(answer.json()["usage"]["prompt_tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{server.root} does not say how long a chat's prompt is (no /tokenize, and no "
            "usage.prompt_tokens), so one of an exact length cannot be made; "
            "use --endpoint completions."
        ) from error


def _no_chat(server: Server, reason: str) -> UsageError:
    return UsageError(
        f"{server.root} answers no chat completions ({reason}); use --endpoint completions."
    )


def _message(server: Server, units: Sequence[str]) -> dict[str, Any]:
    content = "".join(units)
    return {"model": server.model, "messages": [{"role": "user", "content": content}]}
