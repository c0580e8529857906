"""What a request says of its session: the id, the round, what follows it.

It travels with the request as `vllm_xargs` (`SamplingParams.extra_args["marsbench"]`), as MARS and
Continuum send theirs. A client that sends none is known by vLLM's own `session_id`, and every
request of it is taken for a round that is not the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marsbench_backends.signals import Future


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

    @classmethod
    def of(cls, request: Any) -> RoundInfo:
        """The facts that a vLLM request carries."""
        params = request.sampling_params
        extra = (params.extra_args if params is not None else None) or {}
        sent = extra.get("marsbench") or {}
        session_id = request.session_id or sent.get("session") or request.request_id
        future = sent.get("future")
        return cls(
            session_id,
            int(sent.get("round", 0)),
            tuple(sent.get("tools", ())),
            bool(sent.get("last", False)),
            sent.get("parent"),
            int(sent.get("reusable", 0)),
            Future(*future) if future is not None else None,
        )

    def to_extra_args(self) -> dict[str, Any]:
        """What a client sends so that `of` reads the same facts back."""
        f = self.future
        return {
            "marsbench": {
                "session": self.session_id,
                "round": self.round,
                "tools": list(self.tools),
                "last": self.is_last,
                "parent": self.parent,
                "reusable": self.reusable_tokens,
                "future": None
                if f is None
                else [f.rounds, f.prompt_tokens, f.output_tokens, f.tool_s, f.next_tool_s],
            }
        }
