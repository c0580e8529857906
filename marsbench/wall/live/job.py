"""What a live run is to play: the server that answers, and what is to be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marsbench.core.events import GpuStart
from marsbench.core.isolated import Isolated
from marsbench.core.session import Session
from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError
from marsbench.runs import RunConfig
from marsbench.runs.job import resolve_workload, run_config, times_alone
from marsbench.runs.request import RunRequest
from marsbench.wall.config import option_facts, server_fields
from marsbench.wall.live.chat import CHAT, ChatContext, Template
from marsbench.wall.live.endpoint import COMPLETIONS, Endpoint
from marsbench.wall.live.options import LiveOptions
from marsbench.wall.live.prompts import PromptContext, TokenContext
from marsbench.wall.live.template import measure
from marsbench.wall.live.text import (
    TextContext,
    Tokenizer,
    Units,
    file_tokenizer,
    server_count,
    server_units,
)
from marsbench.wall.live.verdict import cautions
from marsbench.wall.nonce import WireNames
from marsbench.wall.server import Server, await_server, check_backend
from marsbench.wall.wire import Wire

# A fresh context of a session, which may ask the server over the run's own connections.
Contexts = Callable[[Session, Wire], PromptContext]


@dataclass(frozen=True)
class LiveJob:
    """A request that can be played.

    simulated: times alone of the simulator, where they are asked for.
    template: of the server, for a chat; None where none is played.
    names: of its sessions on the wire.
    """

    request: RunRequest
    options: LiveOptions
    server: Server
    workload: Workload
    simulated: Isolated | None
    context: Contexts
    template: Template | None
    names: WireNames = field(default_factory=WireNames)

    @property
    def endpoint(self) -> Endpoint:
        """Where rounds are asked for."""
        return COMPLETIONS if self.template is None else CHAT

    @property
    def is_clairvoyant(self) -> bool:
        """The server's policy is told the rest of each session."""
        policy: Any = self.request.choice.backend.policy
        return bool(policy.clairvoyant)

    def config(self) -> RunConfig:
        """What the run folder says of its inputs."""
        request, server, simulated = self.request, self.server, self.simulated
        settings = {
            **option_facts(self.options, "url"),
            "tool_cores": request.tool_cores,
            "tool_workers": request.tool_workers,
            "lanes": self.workload.lanes,
            "server": server.facts,
        }
        return run_config(
            request,
            request.choice,
            self.workload,
            kv_tokens=server.kv_tokens,
            mean_gpu_s=None if simulated is None else simulated.mean_gpu_s,
            settings=settings,
            cautions=tuple(cautions(self.options, server)),
            **server_fields(server, self.options.kv_events, GpuStart),
        )


def prepare(request: RunRequest) -> LiveJob:
    """Ask the server what it is, then make the workload; no round is asked for yet.

    Raises UsageError when the request cannot be.
    """
    options = request.own
    assert isinstance(options, LiveOptions), "a live run is asked for with its options"
    server = await_server(options, request.show_progress)
    check_backend(request.choice, server, options.speed)
    workload = resolve_workload(request)
    _check_fits(workload, server)
    simulated = None
    if _simulates(options, workload):
        hardware, settings = request.hardware, request.settings
        simulated = times_alone(workload, hardware, settings, request.show_progress)
    context, template = _contexts(options, server)
    return LiveJob(request, options, server, workload, simulated, context, template)


def _simulates(options: LiveOptions, workload: Workload) -> bool:
    if options.sample_size is not None:
        return options.sample_size < len(workload.sessions)
    return options.isolated == "profile"


def _check_fits(workload: Workload, server: Server) -> None:
    longest = max((s for r in workload.sessions for s in r.walk()), key=lambda s: s.peak_tokens)
    if server.max_model_len is not None and longest.peak_tokens > server.max_model_len:
        raise UsageError(
            f"Session {longest.id} grows to {longest.peak_tokens:,} tokens, more than the server "
            f"takes ({server.max_model_len:,}); serve with a larger --max-model-len, or give a "
            "lighter workload."
        )


def _contexts(options: LiveOptions, server: Server) -> tuple[Contexts, Template | None]:
    """How prompts are written, and what the server's template adds to them, if it is a chat."""
    if options.prompts == "ids":
        return lambda session, _: TokenContext(session), None
    tokenizer, units = _tokenizer(options, server)
    if options.endpoint == "completions":
        return lambda session, wire: TextContext(session, tokenizer(wire)), None
    template = measure(server, units.texts)
    return lambda session, wire: ChatContext(session, tokenizer(wire), template), template


def _tokenizer(options: LiveOptions, server: Server) -> tuple[Callable[[Wire], Tokenizer], Units]:
    """Who counts tokens in a run, and its units."""
    _, _, file = options.prompts.partition(":")
    if file:
        tokenizer = file_tokenizer(Path(file))
        return lambda _: tokenizer, tokenizer.units
    units = server_units(server)
    return lambda wire: Tokenizer(server_count(server, wire.client), units), units
