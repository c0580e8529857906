"""What a live run is told beside what every run is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from marsbench.core.request import OwnOptions
from marsbench.errors import UsageError

ToolsAs = Literal["sleep", "cpu", "both"]
EndpointName = Literal["completions", "chat"]
NUMBERS = {
    "speed": ("--speed", 1e-3),
    "timeout_s": ("--timeout", 1e-3),
    "warm_up_s": ("--warm-up", 0.0),
    "cool_down_s": ("--cool-down", 0.0),
    "lag_bound_s": ("--max-send-lag", 0.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions(OwnOptions):
    """The options of `--engine live`.

    url: of the server or gateway, with or without /v1.
    served_model: the model's name there; None takes the only one that the server lists.
    endpoint: "completions", or "chat": each prompt is one message of a user, and is text.
    prompts: "ids", or "text", or "text:FILE" with a tokenizer.json for a server that has none.
    tools_as: "sleep" waits as long as the modelled host would take, "both" burns the CPU-seconds
        of calls that burn and waits for the others, "cpu" burns a core through every call.
    speed: how many times faster than real time an emulated server runs; 1 for a real one.
    warm_up_s, cool_down_s: sessions that arrive this long (in the run's seconds) after the first
        arrival, or before the last, are played and not measured.
    timeout_s: wall seconds without a byte after which a request has failed.
    isolated: "profile" simulates each session's time alone, "measure:N" measures N of them on
        the idle server first, "none" has none, and no slowdown.
    kv_events: the server's ZMQ endpoint for KV events, as tcp://127.0.0.1:5557.
    lag_bound_s: the P99 send lag (wall seconds) above which a run is not valid.
    """

    url: str
    served_model: str | None = None
    endpoint: EndpointName = "completions"
    prompts: str = "ids"
    tools_as: ToolsAs = "sleep"
    speed: float = 1.0
    warm_up_s: float = 0.0
    cool_down_s: float = 0.0
    timeout_s: float = 600.0
    isolated: str = "profile"
    kv_events: str | None = None
    lag_bound_s: float = 0.050

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(
                f"--url must begin with http:// or https://, not '{self.url}'; "
                "for example --url http://127.0.0.1:8000."
            )
        for name, (option, least) in NUMBERS.items():
            value = getattr(self, name)
            if not least <= value < math.inf:
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
        return self.url.rstrip("/").removesuffix("/v1").rstrip("/")

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


# As the command line names them, and as they are named here.
GIVEN = {
    "url": "url",
    "served_model": "served_model",
    "endpoint": "endpoint",
    "prompts": "prompts",
    "tools_as": "tools_as",
    "speed": "speed",
    "warm_up": "warm_up_s",
    "cool_down": "cool_down_s",
    "timeout": "timeout_s",
    "isolated": "isolated",
    "kv_events": "kv_events",
    "max_send_lag": "lag_bound_s",
}


def live_options(given: Mapping[str, Any]) -> LiveOptions | None:
    """The options as typed (None where they were not); None for another engine.

    Raises UsageError for one that the engine cannot use, or that is missing.
    """
    typed = {name: given[name] for name in GIVEN if given[name] is not None}
    if given["engine"] == "openhands":
        return None  # which takes some of them, and says so of the others
    if given["engine"] != "live":
        for name in typed:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} is for --engine live, not --engine {given['engine']}.")
        return None
    if "url" not in typed:
        raise UsageError(
            "--engine live needs the server's --url; for example --url http://127.0.0.1:8000."
        )
    if typed.get("endpoint") == "chat":
        typed.setdefault("prompts", "text")
    return LiveOptions(**{GIVEN[name]: value for name, value in typed.items()})
