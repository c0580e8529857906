"""What all servers here do alike: an event loop, a port to listen on, a URL, an end by signals."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from marsbench.errors import UsageError

if TYPE_CHECKING:
    from aiohttp import web

CONTROL_TOKEN, CONTROL_HEADER = "MARSBENCH_GATEWAY_TOKEN", "X-Marsbench-Token"
"""The variable that holds a gateway's token, of both sides, and the header it is sent in."""


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop takes a fifth of CPU time less; it comes with vLLM."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def url_of(host: str, port: int) -> str:
    """Where a server that listens there is asked."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def listen(
    app: web.Application,
    host: str,
    port: int,
    refusal: str,
    backlog: int = 128,
    prepare: Callable[[web.AppRunner], None] | None = None,
    **options: Any,
) -> web.AppRunner:
    """Serves the application from now on, until the runner's clean-up.

    prepare: is given the runner before it listens.
    options: of the runner. A client that goes ends the work that was done for it, at a server
    behind too. Raises UsageError when the port cannot be had, in the words of `refusal`, where {}
    stands for the reason.
    """
    from aiohttp import web

    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, **options)
    await runner.setup()
    if prepare is not None:
        prepare(runner)
    try:
        await web.TCPSite(runner, host, port, backlog=backlog).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(refusal.replace("{}", f"{error.strerror}")) from error
    return runner


def stop_signals() -> asyncio.Queue[int]:
    """SIGINT and SIGTERM from now on, in the order in which they come."""
    loop, heard = asyncio.get_running_loop(), asyncio.Queue[int]()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard.put_nowait, number)
    return heard
