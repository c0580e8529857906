"""What a run of real agents is told beside what every run is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from marsbench.errors import UsageError
from marsbench.option import LIVE, Option
from marsbench.runs.failures import MAX_FAILED
from marsbench.runs.request import OwnOptions

EXAMPLE_URL = "for example --url http://127.0.0.1:8000"
TIME_LIMIT_S = 1800.0


@dataclass(frozen=True, kw_only=True)
class AgentOptions:
    """What `--engine openhands` alone is told; OpenHandsOptions says what each is."""

    tasks: Annotated[str, Option("TASKS", "For real agents: shipped, or a file", LIVE)] = "shipped"
    context_tokens: Annotated[int, Option("N", "Digest in an agent's first prompt (0)", LIVE)] = 0
    workers: Annotated[int, Option("N", "Agents at once (32)", LIVE)] = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHandsOptions(OwnOptions):
    """The options of `--engine openhands`.

    url: of the server, gateway or replay, with or without /v1.
    tasks: as `marsbench.tasks.files.load_tasks` reads it.
    served_model: the model's name there; None takes the first that the server lists.
    workers: agents that may be under way at once; one more waits, which is told and counted.
    context_tokens: tokens of repository digest in every first prompt (rule: tasks.tokens).
    time_limit_s: seconds after which an agent is killed and its session has failed.
    max_rounds: model calls that an agent may make.
    alone: a file with each task's time alone; measured first and written where it is not there.
        None: no session has an ideal time, and there is no goodput.
    kv_events: the server's ZMQ endpoint for KV events, as tcp://127.0.0.1:5557.
    share, wait, max_failed: as of `LiveOptions`.
    keep: a folder where workspaces and OpenHands' own records stay; None throws them away.
    """

    url: str
    tasks: str = "shipped"
    served_model: str | None = None
    workers: int = 32
    context_tokens: int = 0
    time_limit_s: float = TIME_LIMIT_S
    max_rounds: int = 100
    alone: Path | None = None
    kv_events: str | None = None
    share: bool = False
    wait: float = 0.0
    max_failed: float = MAX_FAILED
    keep: Path | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise UsageError(
                f"--url must begin with http:// or https://, not '{self.url}'; {EXAMPLE_URL}."
            )
        for option, number, least in (
            ("--workers", self.workers, 1),
            ("--context-tokens", self.context_tokens, 0),
            ("--timeout", self.time_limit_s, 1),
            ("--max-rounds", self.max_rounds, 1),
            ("--wait", self.wait, 0),
            ("--max-failed", self.max_failed, 0),
        ):
            if not least <= number < math.inf:
                raise UsageError(f"{option} must be {least} or more, not {number:g}.")

    @property
    def root(self) -> str:
        """The server's address without /v1 and without a slash at its end."""
        return self.url.rstrip("/").removesuffix("/v1").rstrip("/")
