"""What a request says of its session: the id, the round, what follows it.

It travels in `SamplingParams.extra_args["marsbench"]`. The simulator puts it there; on a server the
scheduler does, from what the client said and what it counted itself (session_table.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from marsbench_backends.signals import DEFAULT_TENANT, Future


@dataclass(frozen=True, slots=True)
class RoundInfo:
    """Facts of one round. `tools` and `future` are told to a policy only when they are due."""

    session_id: str
    round: int = 0
    tools: tuple[str, ...] = ()
    is_last: bool = False
    parent: str | None = None
    reusable_tokens: int = 0
    future: Future | None = None
    tenant: str = DEFAULT_TENANT

    @classmethod
    def of(cls, request: Any) -> RoundInfo:
        """The facts that a vLLM request carries."""
        params = request.sampling_params
        extra = (params.extra_args if params is not None else None) or {}
        sent = extra.get("marsbench") or {}
        session_id = request.session_id or sent.get("session") or request.request_id
        return cls.of_facts({**sent, "session": session_id})

    @classmethod
    def of_facts(cls, sent: Mapping[str, Any]) -> RoundInfo:
        """The facts as `to_extra_args` writes them, the session's id among them."""
        future = sent.get("future")
        return cls(
            sent["session"],
            int(sent.get("round", 0)),
            tuple(sent.get("tools", ())),
            bool(sent.get("last", False)),
            sent.get("parent"),
            int(sent.get("reusable", 0)),
            Future(*future) if future is not None else None,
            sent.get("tenant", DEFAULT_TENANT),
        )

    def to_extra_args(self) -> dict[str, Any]:
        """What a client sends so that `of` reads the same facts back."""
        named = {} if self.tenant == DEFAULT_TENANT else {"tenant": self.tenant}
        return {
            "marsbench": {
                "session": self.session_id,
                "round": self.round,
                "tools": list(self.tools),
                "last": self.is_last,
                "parent": self.parent,
                "reusable": self.reusable_tokens,
                "future": None if self.future is None else list(astuple(self.future)),
                **named,
            }
        }
