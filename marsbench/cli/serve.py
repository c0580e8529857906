"""`marsbench serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marsbench.cli.options import verb
from marsbench.engine_options import EngineOptions
from marsbench.option import AsJson, assignments
from marsbench.serve.options import ServeOptions

# What the command needs is imported when it is called, so that --help answers at once.
if TYPE_CHECKING:
    from marsbench.serve.plan import ServeRequest
    from marsbench.serve.server import VllmServer


@verb
def serve(
    options: ServeOptions,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="What vLLM loads.", show_default=False)
    ] = None,
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- FLAGS]", help="vLLM's own flags.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a model with a backend in vLLM's scheduler, on a GPU or an emulated one."""
    from marsbench.serve.plain import plain_line
    from marsbench.serve.server import ended_by_signals, serving

    request = _request(options, model, flags or [])
    if options.plain is not None:
        typer.echo(plain_line(request, options.plain))
        return
    with ended_by_signals(), serving(request, options.timeout, show_progress=True) as server:
        _announce(server, as_json)
        server.wait()


def _request(options: ServeOptions, model: str | None, flags: list[str]) -> ServeRequest:
    """The options as one value; with --emulate the first of vLLM's flags is no model."""
    from marsbench.core.backends import choose
    from marsbench.serve.plan import ServeRequest
    from marsbench.trees.asked import tree_of

    if model is not None and model.startswith("-"):
        flags = [model, *flags]
        model = None
    engine = EngineOptions(
        engine_profile=options.engine_profile,
        kv_blocks=options.kv_blocks,
        host_kv=options.host_kv,
        host_kv_store=options.host_kv_store,
        host_kv_eviction=options.host_kv_eviction,
        host_kv_cost=options.host_kv_cost,
    )
    return ServeRequest(
        choice=choose(options.backend, assignments(options.set)),
        model=model,
        emulate=options.emulate,
        tp=options.tp,
        speed=options.speed,
        settings=engine.settings,
        host=options.host,
        port=options.port,
        flags=tuple(flags),
        tree=None if options.vllm is None else tree_of(options.vllm).root,
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
