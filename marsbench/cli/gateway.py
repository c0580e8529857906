"""`marsbench gateway`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from marsbench.cli.options import verb
from marsbench.errors import UsageError
from marsbench.gateway.options import GatewayOptions
from marsbench.option import assignments

if TYPE_CHECKING:
    from marsbench.core.backends import Choice
    from marsbench.replicas.registry import RouterChoice
    from marsbench.replicas.router import Router


@verb
def gateway(options: GatewayOptions) -> None:
    """Hold sessions back before a real server, as the backend's controller decides."""
    from marsbench.core.backends import choose
    from marsbench.gateway.limits import Limits
    from marsbench.gateway.load import LoadRules
    from marsbench.gateway.server import Config, run
    from marsbench.gateway.upstream import checked_url
    from marsbench.http_server import CONTROL_TOKEN
    from marsbench.replicas.options import divided

    _check(
        speed=options.speed,
        session_timeout=options.session_timeout,
        timeout=options.timeout,
        grace=options.grace,
        **{} if options.hold_timeout is None else {"hold_timeout": options.hold_timeout},
    )
    of_router, of_backend = divided(assignments(options.set))
    choice = choose(options.backend, of_backend)
    _try_out(choice)
    first, *others = _different(checked_url(url) for url in options.upstream)
    config = Config(
        choice,
        first,
        host=options.host,
        port=options.port,
        speed=options.speed,
        kv_blocks=options.kv_blocks,
        tool_cores=options.tool_cores,
        session_timeout_s=options.session_timeout,
        timeout_s=options.timeout,
        limits=Limits(options.max_body << 20, options.max_bodies << 20, options.max_sessions),
        token=os.environ.get(CONTROL_TOKEN) or None,
        control_port=options.control_port,
        state=options.state,
        grace_s=options.grace,
        rules=LoadRules(options.gaps == "cpu", frozenset(options.waiting_tool)),
        session_header=options.session_header,
        hold_s=options.hold_timeout,
        others=tuple(others),
        router=_router(options, of_router),
        router_record=options.router_record,
    )
    by = "" if config.router is None else f" by {config.router.name}"
    servers = ", ".join(config.upstreams)
    run(config, lambda url: typer.echo(f"{url} → {servers}{by}, {options.backend}"))


def _different(urls: Iterable[str]) -> list[str]:
    found = list(urls)
    twice = next((url for url in found if found.count(url) > 1), None)
    if twice is not None:
        raise UsageError(f"--upstream {twice} is there twice; give each server once.")
    return found


def _router(options: GatewayOptions, assignments: list[str]) -> RouterChoice | None:
    """None before one server, where nothing is to be chosen."""
    from marsbench.replicas.options import DEFAULT
    from marsbench.replicas.registry import ROUTERS, choose_router

    choice = choose_router(options.router or DEFAULT, assignments)
    if why := _only_simulated(choice.router):
        names = ", ".join(
            name for name in ROUTERS if not _only_simulated(choose_router(name).router)
        )
        raise UsageError(f"--router {choice.name} {why}; choose another: {names}.")
    if choice.build().kv_event_delay_s:
        raise UsageError(
            "--set router.kv_event_delay_s is for simulations: real KV events take as long as they "
            "do; leave it out."
        )
    if len(options.upstream) > 1:
        return choice
    if options.router_record is not None:
        raise UsageError(
            "--router-record is of several servers; give a second --upstream, or leave it out."
        )
    return None


def _only_simulated(router: type[Router]) -> str | None:
    """Why a router is of no use before real servers."""
    from marsbench.replicas.router import MovingRouter

    if router.clairvoyant:
        return "is told how long each answer will be, which nobody knows before real servers"
    if issubclass(router, MovingRouter):
        return "has KV copied between replicas, which a gateway cannot do"
    return None


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
