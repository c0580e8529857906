"""Whether a live run counts, and what to know of it: what only the client can say of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from marsbench.core.metrics.percentiles import describe
from marsbench.runs import CautionNote
from marsbench.wall.live.chat import Template
from marsbench.wall.live.client import ClientRecord
from marsbench.wall.live.options import LiveOptions
from marsbench.wall.server import Server


@dataclass(frozen=True, slots=True)
class Findings:
    """What the client did. isolated: how the times alone are known. template: of chats.
    nonce: at the end of its sessions' names at the server."""

    client: ClientRecord
    options: LiveOptions
    isolated: dict[str, Any] | None
    template: Template | None = None
    nonce: str | None = None

    def record(self) -> dict[str, Any]:
        """For client.json."""
        return {
            "send_lag_s": describe(self.client.lags),
            "lag_bound_s": self.options.max_send_lag,
            "rounds_answered": self.client.rounds,
            "rounds_with_another_prompt_length": self.client.other_prompt_length,
            "rounds_with_another_output_length": self.client.other_output_length,
            "chat_template": self.template and asdict(self.template),
            "isolated": self.isolated,
            "nonce": self.nonce,
        }

    def reasons(self, died: str | None) -> list[str]:
        """Why the run is not valid, beside what its events show."""
        found = []
        if died is not None:
            found.append(f"the server died during the run ({died})")
        lag, bound = describe(self.client.lags)["p99"], self.options.max_send_lag
        if lag is not None and lag > bound:
            found.append(
                f"the client was late: P99 of its send lag is {lag * 1000:.0f} ms, "
                f"above {bound * 1000:.0f} ms"
            )
        if self.client.lags and not self.client.rounds:
            found.append("no request was answered")
        return found

    def cautions(self) -> Iterator[CautionNote]:
        """What to know before believing the figures."""
        client = self.client
        if client.other_prompt_length:
            yield CautionNote(
                code="PROMPT_LENGTH",
                text=f"{client.other_prompt_length} of {client.rounds} prompts had another length "
                "at the server than the workload says; use --prompts ids (and no chat) where the "
                "server takes them.",
            )
        if client.other_output_length:
            yield CautionNote(
                code="OUTPUT_LENGTH",
                text=f"{client.other_output_length} of {client.rounds} answers had another length "
                "than the workload says; serve with vLLM, which can be told to ignore the end of "
                "text.",
            )
        if self.isolated is not None and self.isolated["how"] == "simulated":
            yield CautionNote(
                code="IDEAL_SIMULATED",
                text="Times alone come from the simulator's hardware profile, not from this "
                "server; measure some of them with --isolated measure:N.",
            )


def cautions(options: LiveOptions, server: Server) -> Iterator[CautionNote]:
    """What is known before the run begins."""
    if server.gateway is None:
        yield CautionNote(
            code="BACKEND_AS_TOLD",
            text="Nobody but --backend says which scheduler the server runs; check how it was "
            "started.",
        )
    if not server.is_vllm:
        yield CautionNote(
            code="NOT_VLLM",
            text="The server is not vLLM, so output lengths are a wish, and the tokens of answers "
            "are not part of the next prompt.",
        )
    if options.speed != 1:
        yield CautionNote(
            code="EMULATED",
            text=f"Every time was taken {options.speed:g} times faster and multiplied: the server "
            "is an emulated one, and what is not emulated (HTTP, scheduling) counts "
            f"{options.speed:g}-fold; lower --speed to see how much that is.",
        )
