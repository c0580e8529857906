"""`marsbench gateway`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from marsbench.cli.options import verb
from marsbench.errors import UsageError
from marsbench.gateway.options import GatewayOptions
from marsbench.option import assignments

if TYPE_CHECKING:
    from marsbench.core.backends import Choice


@verb
def gateway(options: GatewayOptions) -> None:
    """Hold sessions back before a real server, as the backend's controller decides."""
    from marsbench.core.backends import choose
    from marsbench.gateway.limits import Limits
    from marsbench.gateway.load import LoadRules
    from marsbench.gateway.server import Config, run
    from marsbench.gateway.upstream import checked_url
    from marsbench.http_server import CONTROL_TOKEN

    _check(
        speed=options.speed,
        session_timeout=options.session_timeout,
        timeout=options.timeout,
        grace=options.grace,
        **{} if options.hold_timeout is None else {"hold_timeout": options.hold_timeout},
    )
    choice = choose(options.backend, assignments(options.set))
    _try_out(choice)
    config = Config(
        choice,
        checked_url(options.upstream),
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
    )
    run(config, lambda url: typer.echo(f"{url} → {config.upstream}, {options.backend}"))


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
