"""What a live run is told beside what every run is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from marsbench.errors import UsageError
from marsbench.option import LIVE, Option
from marsbench.runs.failures import MAX_FAILED
from marsbench.runs.request import OwnOptions

ToolsAs = Literal["sleep", "cpu", "both"]
EndpointName = Literal["completions", "chat"]
LEAST = {
    "speed": 1e-3,
    "timeout": 1e-3,
    **dict.fromkeys(("warm_up", "cool_down", "max_send_lag", "wait", "max_failed"), 0.0),
}


@dataclass(frozen=True, kw_only=True)
class LiveOptions(OwnOptions):
    """The options of `--engine live`; `--engine openhands` takes some of them.

    url: of the server or gateway, with or without /v1; a live run needs it.
    served_model: the model's name there; None takes the only one that the server lists.
    endpoint: "completions", or "chat": each prompt is one message of a user, and is text.
    prompts: "ids", or "text", or "text:FILE" with a tokenizer.json for a server that has none.
    tools_as: "sleep" waits as long as the modelled host would take, "both" burns the CPU-seconds
        of calls that burn and waits for the others, "cpu" burns a core through every call.
    speed: how many times faster than real time an emulated server runs; 1 for a real one.
    warm_up, cool_down: sessions that arrive this long (in the run's seconds) after the first
        arrival, or before the last, are played and not measured.
    timeout: wall seconds without a byte after which a request has failed.
    isolated: "profile" simulates each session's time alone, "measure:N" measures N of them on
        the idle server first, "none" has none, and no slowdown.
    kv_events: the server's ZMQ endpoint for KV events, as tcp://127.0.0.1:5557.
    max_send_lag: the P99 send lag (wall seconds) above which a run is not valid.
    share: sessions of others at the server do not make the run invalid.
    wait: wall seconds in which a server that does not answer yet may come up.
    max_failed: the share of failed sessions above which a run is not valid.
    """

    url: Annotated[str | None, Option("URL", "Of the server or gateway", LIVE)] = None
    served_model: Annotated[
        str | None, Option("NAME", "Its model (the only one it lists)", LIVE)
    ] = None
    endpoint: Annotated[
        EndpointName, Option("NAME", "completions, chat (completions)", LIVE, typed=str)
    ] = "completions"
    prompts: Annotated[str, Option("KIND", "ids, text, text:TOKENIZER.json (ids)", LIVE)] = "ids"
    tools_as: Annotated[
        ToolsAs, Option("WHAT", "sleep, cpu, or both by kind (sleep)", LIVE, typed=str)
    ] = "sleep"
    speed: Annotated[float, Option("X", "Of an emulated server (1)", LIVE)] = 1.0
    warm_up: Annotated[float, Option("S", "Arrivals not measured at first (0)", LIVE)] = 0.0
    cool_down: Annotated[float, Option("S", "Arrivals not measured at last (0)", LIVE)] = 0.0
    timeout: Annotated[float, Option("S", "Silence that fails a request (600)", LIVE)] = 600.0
    isolated: Annotated[str, Option("HOW", "profile, measure:N, none (profile)", LIVE)] = "profile"
    kv_events: Annotated[str | None, Option("TCP", "Endpoint of vLLM's KV events", LIVE)] = None
    max_send_lag: Annotated[float, Option("S", "P99 of our own lag, at most (0.05)", LIVE)] = 0.05
    share: Annotated[bool, Option(None, "Others may use the server too", LIVE)] = False
    wait: Annotated[float, Option("S", "For a server to come up (0)", LIVE)] = 0.0
    max_failed: Annotated[float, Option("X", "Failed sessions, at most (0.01)", LIVE)] = MAX_FAILED

    def __post_init__(self) -> None:
        if self.url is None:
            raise UsageError(
                "--engine live needs the server's --url; for example --url http://127.0.0.1:8000."
            )
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(
                f"--url must begin with http:// or https://, not '{self.url}'; "
                "for example --url http://127.0.0.1:8000."
            )
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not least <= value < math.inf:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} must be {least:g} or more, not {value:g}.")
        if self.tools_as not in get_args(ToolsAs):
            raise UsageError(f"--tools-as is sleep, cpu or both, not '{self.tools_as}'.")
        self._check_prompts()
        _ = self.sample_size  # raises for what it cannot read

    def _check_prompts(self) -> None:
        kind, _, file = self.prompts.partition(":")
        if self.prompts not in ("ids", "text") and not (kind == "text" and file):
            raise UsageError(
                f"--prompts is ids, text or text:TOKENIZER.json, not '{self.prompts}'."
            )
        if self.endpoint not in get_args(EndpointName):
            raise UsageError(f"--endpoint is completions or chat, not '{self.endpoint}'.")
        if self.endpoint == "chat" and kind == "ids":
            raise UsageError(
                "--endpoint chat sends text, and no token ids: give --prompts text, "
                "or --endpoint completions."
            )

    @property
    def root(self) -> str:
        """The server's address without /v1 and without a slash at its end."""
        return (self.url or "").rstrip("/").removesuffix("/v1").rstrip("/")

    @property
    def sample_size(self) -> int | None:
        """How many sessions are to be measured alone; None when none is."""
        if self.isolated in ("profile", "none"):
            return None
        kind, _, number = self.isolated.partition(":")
        if kind != "measure" or not number.isdecimal() or int(number) < 1:
            raise UsageError(
                f"--isolated is profile, measure:N or none, not '{self.isolated}'; "
                "for example --isolated measure:5."
            )
        return int(number)
