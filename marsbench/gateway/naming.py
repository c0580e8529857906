"""Which session a request names: in a header, or in its body, as agents and clients send it.

docs/gateway-sessions.md has the table of who sends what. The most explicit name wins;
`X-Correlation-ID` stands last of the headers, since elsewhere than in AIPerf it names a request as
often as a session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from marsbench_backends.signals import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class SessionHeader:
    """A header that names a session.

    child: a header that names a sub-agent of it, whose requests carry both.
    parent: a header that names whose sub-agent this is; of another child where there is `child`.
    """

    name: str
    child: str | None = None
    parent: str | None = None

    def read(self, headers: Mapping[str, str]) -> tuple[str, str | None] | None:
        """The session and its parent, where the header is there."""
        root = headers.get(self.name)
        if not root:
            return None
        parent = headers.get(self.parent) if self.parent else None
        if self.child is None:
            return root, parent
        agent = headers.get(self.child)
        if not agent:
            return root, None
        return f"{root}/{agent}", f"{root}/{parent}" if parent else root


HEADERS = (
    SessionHeader("X-Session-ID", parent="X-Parent-Session-ID"),
    SessionHeader("X-Session-Affinity", parent="X-Parent-Session-ID"),
    SessionHeader(
        "X-Claude-Code-Session-Id",
        child="X-Claude-Code-Agent-Id",
        parent="X-Claude-Code-Parent-Agent-Id",
    ),
    # Codex: a thread is an agent; the session is shared by all that one of them started.
    SessionHeader("thread-id", parent="x-codex-parent-thread-id"),
    SessionHeader("session-id"),
    SessionHeader("session_id"),
    SessionHeader("x-litellm-session-id"),
    SessionHeader("X-Correlation-ID"),
)

TENANT_HEADERS = (
    "X-Tenant-ID",
    "x-llm-d-inference-fairness-id",
    "x-gateway-inference-fairness-id",
)
"""Headers that name on whose account a session runs: ours, and those of llm-d's fairness."""

_IN_USER_ID = re.compile(r"_session_([0-9A-Za-z-]+)$")


class Names(msgspec.Struct):
    """What a body may say of its session; of any type where it is the server's to check."""

    session_id: str | None = None
    prompt_cache_key: str | None = None
    vllm_xargs: dict[str, Any] | None = None
    metadata: Any = None
    conversation: Any = None
    previous_response_id: Any = None


def named(
    headers: Mapping[str, str], body: Names, extra: str | None
) -> tuple[str | None, str | None]:
    """The session and its parent; `extra` is the header that the command line added."""
    session_id, parent_id = next(_found(headers, body, extra), (None, None))
    told = (body.vllm_xargs or {}).get("marsbench_parent")
    # OpenHands gives a sub-agent an id of its own, and the cache key of its parent.
    parent_id = str(told) if told else parent_id or body.prompt_cache_key
    return session_id, parent_id if parent_id != session_id else None


def _found(
    headers: Mapping[str, str], body: Names, extra: str | None
) -> Iterator[tuple[str, str | None]]:
    """All names that the request has, the one that counts first."""
    if extra and (own := headers.get(extra)):
        yield own, None
    if body.session_id:
        yield body.session_id, None
    yield from filter(None, (header.read(headers) for header in HEADERS))
    xargs = body.vllm_xargs or {}
    others: list[Any] = [of_user_id(body.metadata), _of_conversation(body.conversation)]
    if body.previous_response_id is None:  # else the response says whose round this is
        others.append(body.prompt_cache_key)
    others += [xargs.get("session_id"), xargs.get("marsbench_session")]
    yield from ((str(name), None) for name in others if name)


def tenant_of(headers: Mapping[str, str], body: Names) -> str:
    """On whose account the session runs, as the request says."""
    told = next(filter(None, (headers.get(name) for name in TENANT_HEADERS)), None)
    return str(told or (body.vllm_xargs or {}).get("marsbench_tenant") or DEFAULT_TENANT)


def of_user_id(metadata: Any) -> str | None:
    """The session in Anthropic's `metadata.user_id`, as Claude Code writes it there.

    A JSON object with `session_id`, or `user_…_account_…_session_ID`. Any other user id names a
    user, who may have several sessions at once.
    """
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user_id, str):
        return None
    if user_id.startswith("{"):
        return _in_json(user_id)
    found = _IN_USER_ID.search(user_id)
    return found[1] if found else None


def _in_json(text: str) -> str | None:
    try:
        told = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    name = told.get("session_id") if isinstance(told, dict) else None
    return name if isinstance(name, str) else None


def _of_conversation(conversation: Any) -> str | None:
    """Of the Responses API: an id, or an object that has one."""
    name = conversation.get("id") if isinstance(conversation, dict) else conversation
    return name if isinstance(name, str) else None
