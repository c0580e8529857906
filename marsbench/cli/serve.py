"""`marsbench serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from marsbench.cli import options as opt

# What the command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.serve.plan import ServeRequest
    from marsbench.serve.server import VllmServer


def serve(
    backend: opt.BackendName,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="What vLLM loads.", show_default=False)
    ] = None,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAGS]", help="vLLM's own flags.", show_default=False),
    ] = None,
    set_: opt.Settings = None,
    emulate: Annotated[
        str | None,
        typer.Option(metavar="GPU:MODEL", help="An emulated GPU instead, as h200:qwen3-coder-30b."),
    ] = None,
    speed: Annotated[float, typer.Option(metavar="X", help="Emulated seconds a second.")] = 1.0,
    kv_blocks: opt.KvBlocks = None,
    engine_profile: opt.EngineProfile = "default",
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", help="0 for any that is free.")] = 8000,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="Silence of a start that is given up.")
    ] = 600.0,
    as_json: opt.AsJson = False,
) -> None:
    """Serve a model with a backend in vLLM's scheduler, on a GPU or an emulated one."""
    given = locals()
    from marsbench.serve.server import ended_by_signals, serving

    request = _request(given)
    with ended_by_signals(), serving(request, timeout, show_progress=True) as server:
        _announce(server, as_json)
        server.wait()


def _request(given: dict[str, Any]) -> ServeRequest:
    """The options as one value; with --emulate the first of vLLM's flags is no model."""
    from marsbench.core.backends import choose
    from marsbench.core.settings import engine_settings
    from marsbench.serve.plan import ServeRequest

    model, flags = given["model"], given["flags"] or []
    if model is not None and model.startswith("-"):
        model, flags = None, [model, *flags]
    return ServeRequest(
        choice=choose(given["backend"], given["set_"] or ()),
        model=model,
        emulate=given["emulate"],
        speed=given["speed"],
        settings=engine_settings(given["engine_profile"], kv_blocks=given["kv_blocks"]),
        host=given["host"],
        port=given["port"],
        flags=tuple(flags),
    )


def _announce(server: VllmServer, as_json: bool) -> None:
    import json

    from marsbench_backends.admission import Admission

    request = server.request
    facts = {
        "url": server.url,
        "model": request.served_name,
        "backend": request.choice.name,
        "kv_events": server.kv_events,
        "speed": request.speed,
        "pid": server.process.pid,
        "log": str(server.log),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{server.url} serves {request.served_name} with {request.choice.name}")
    typer.echo(f"KV events: {server.kv_events}; log: {server.log}", err=True)
    if request.choice.backend.admission is not Admission:
        speed = "" if request.speed == 1 else f" --speed {request.speed:g}"
        command = f"marsbench gateway --backend {facts['backend']} --upstream {server.url}{speed}"
        typer.echo(f"its admission controller goes in front: {command}", err=True)
