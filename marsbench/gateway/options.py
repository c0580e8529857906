"""What a gateway is told on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from marsbench.option import LIMITS, Assignments, BackendName, Option


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """The options of `marsbench gateway`; `marsbench.gateway.server.Config` says what each is."""

    backend: BackendName
    upstream: Annotated[
        Sequence[str],
        Option("URL", "The server, as http://127.0.0.1:8000; repeatable", typed=list[str]),
    ]
    router: Annotated[
        str | None,
        Option("NAME", "Of several servers: who gets a round (round-robin)", completes="router"),
    ] = None
    router_record: Annotated[Path | None, Option("FILE", "What it saw and said (none)")] = None
    set: Assignments = ()
    host: Annotated[str, Option("HOST", "Where to listen (127.0.0.1)")] = "127.0.0.1"
    port: Annotated[int, Option("P", "0 for any free one (8080)", least=0, most=65535)] = 8080
    kv_blocks: Annotated[
        int | None, Option("N", "The server's KV blocks (what its metrics say)", least=1)
    ] = None
    tool_cores: Annotated[int, Option("N", "Cores of the host that runs tools (8)", least=1)] = 8
    gaps: Annotated[
        Literal["wait", "cpu"], Option("WHAT", "Gaps nobody names: wait, or cpu (wait)")
    ] = "wait"
    waiting_tool: Annotated[
        Sequence[str],
        Option("NAME", "A tool that burns no CPU; repeatable (user)", typed=list[str]),
    ] = ("user",)
    speed: Annotated[float, Option("X", "An emulated server's --speed (1)")] = 1.0
    session_header: Annotated[str | None, Option("NAME", "One more header that names sessions")] = (
        None
    )
    hold_timeout: Annotated[
        float | None, Option("S", "A hold that takes longer is a 429 (never)", LIMITS)
    ] = None
    session_timeout: Annotated[float, Option("S", "Silence that ends a session (600)", LIMITS)] = (
        600.0
    )
    timeout: Annotated[float, Option("S", "Silence of the server (3600)", LIMITS)] = 3600.0
    grace: Annotated[float, Option("S", "For streams, after Ctrl-C (5)", LIMITS)] = 5.0
    max_body: Annotated[int, Option("MIB", "Of a request's body (32)", LIMITS, least=1)] = 32
    max_bodies: Annotated[
        int, Option("MIB", "Of all bodies that are held (1024)", LIMITS, least=1)
    ] = 1024
    max_sessions: Annotated[
        int, Option("N", "Sessions known at once (100000)", LIMITS, least=1)
    ] = 100_000
    state: Annotated[
        Path | None, Option("FILE", "Who was let in, for restarts and other gateways (none)")
    ] = None
    control_port: Annotated[
        int | None, Option("P", "For /marsbench alone (the same)", LIMITS, least=0, most=65535)
    ] = None
