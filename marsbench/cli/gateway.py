"""`marsbench gateway`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from marsbench.cli import options as opt
from marsbench.errors import UsageError

if TYPE_CHECKING:
    from marsbench.core.backends import Choice

LIMITS = "Limits"


def _option(metavar: str, about: str, panel: str | None = None, **bounds: Any) -> Any:
    return typer.Option(
        metavar=metavar, help=about, rich_help_panel=panel, show_default=False, **bounds
    )


def gateway(
    backend: opt.BackendName,
    upstream: Annotated[str, _option("URL", "The server, as http://127.0.0.1:8000")],
    set_: opt.Settings = None,
    host: Annotated[str, _option("HOST", "Where to listen (127.0.0.1)")] = "127.0.0.1",
    port: Annotated[int, _option("P", "0 for any free one (8080)", min=0, max=65535)] = 8080,
    kv_blocks: Annotated[
        int | None, _option("N", "The server's KV blocks (what its metrics say)", min=1)
    ] = None,
    tool_cores: Annotated[int, _option("N", "Cores of the host that runs tools (8)", min=1)] = 8,
    gaps: Annotated[
        Literal["wait", "cpu"], _option("WHAT", "Gaps nobody names: wait, or cpu (wait)")
    ] = "wait",
    waiting_tool: Annotated[
        list[str] | None, _option("NAME", "A tool that burns no CPU; repeatable (user)")
    ] = None,
    speed: Annotated[float, _option("X", "An emulated server's --speed (1)")] = 1.0,
    session_timeout: Annotated[
        float, _option("S", "Silence that ends a session (600)", LIMITS)
    ] = 600.0,
    timeout: Annotated[float, _option("S", "Silence of the server (3600)", LIMITS)] = 3600.0,
    grace: Annotated[float, _option("S", "For streams, after Ctrl-C (5)", LIMITS)] = 5.0,
    max_body: Annotated[int, _option("MIB", "Of a request's body (32)", LIMITS, min=1)] = 32,
) -> None:
    """Hold sessions back before a real server, as the backend's controller decides."""
    from marsbench.core.backends import choose
    from marsbench.gateway.load import LoadRules
    from marsbench.gateway.server import Config, run
    from marsbench.gateway.upstream import checked_url

    _check(speed=speed, session_timeout=session_timeout, timeout=timeout, grace=grace)
    choice = choose(backend, set_ or ())
    _try_out(choice)
    config = Config(
        choice,
        checked_url(upstream),
        host=host,
        port=port,
        speed=speed,
        kv_blocks=kv_blocks,
        tool_cores=tool_cores,
        session_timeout_s=session_timeout,
        timeout_s=timeout,
        max_body=max_body << 20,
        grace_s=grace,
        rules=LoadRules(gaps == "cpu", frozenset(waiting_tool or ("user",))),
    )
    run(config, lambda url: typer.echo(f"{url} → {config.upstream}, {backend}"))


def _check(**seconds: float) -> None:
    for name, value in seconds.items():
        if not 0 < value < float("inf"):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} must be above 0, not {value:g}; for example {option} 1.")


def _try_out(choice: Choice) -> None:
    """A controller that cannot decide says so before the first client comes."""
    from marsbench_backends.admission import EngineState
    from marsbench_backends.answers.admission import watched
    from marsbench_backends.answers.wrong import WrongAnswerError, refuse

    nobody = EngineState(0.0, (), None, None, 16, 0, 1, arrivals_over=False)
    try:
        watched(choice.admission(), choice.name, refuse).admit((), nobody)
    except WrongAnswerError as error:
        own = error.__context__  # a controller's own sentence says best what it lacks
        raise UsageError(f"{own}." if isinstance(own, ValueError) else str(error)) from error
