"""`marsbench replay`: serve recordings, record a model, or answer by rules."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marsbench.cli.options import verb
from marsbench.option import Option

if TYPE_CHECKING:
    import aiohttp

    from marsbench.model.recording import Recording
    from marsbench.model.server import ChatServer

app = typer.Typer(
    help="A model that answers without a GPU: recorded responses.", no_args_is_help=True
)
KEY_VARIABLE = "OPENAI_API_KEY"
AGAIN_S = 0.5


Host = Annotated[str, Option("HOST", "Where to listen (127.0.0.1)")]
Port = Annotated[int, Option("P", "0 for any free one (8090)")]
Tasks = Annotated[str, Option("TASKS", "Tasks with rules (shipped)")]


@app.command()
@verb
def serve(
    upstream: Annotated[
        str | None, Option("URL", "A server that does the work of each round")
    ] = None,
    recordings: Annotated[Path | None, Option("DIR", "Recordings (the shipped ones)")] = None,
    model: Annotated[str | None, Option("NAME", "The server's model (what it says)")] = None,
    host: Host = "127.0.0.1",
    port: Port = 8090,
    wait: Annotated[float, Option("S", "For the server to come up (0)")] = 0.0,
) -> None:
    """Answer as recorded; with --upstream, after that server has computed each round."""
    from marsbench.model.recording import load_recordings

    found = load_recordings(recordings)
    asyncio.run(_serve_replay(found, upstream, model, host, port, wait))


async def _serve_replay(
    recordings: dict[str, Recording],
    url: str | None,
    model: str | None,
    host: str,
    port: int,
    wait_s: float,
) -> None:
    from marsbench.model.models import Replay
    from marsbench.model.server import MODEL_NAME, ChatServer, http_client
    from marsbench.model.upstream import BackingServer

    async with http_client() as http:
        if url is None:
            await _serve(ChatServer(Replay(recordings, None)), host, port)
            return
        name = model or await _model_within(http, url, wait_s)
        upstream = BackingServer(http, url, name)
        server = ChatServer(Replay(recordings, upstream), MODEL_NAME, upstream.url, http)
        await _serve(server, host, port)


async def _model_within(http: aiohttp.ClientSession, url: str, wait_s: float) -> str:
    """That name, of a server that may still have to come up. Raises UsageError when it did not."""
    from marsbench.clock import monotonic
    from marsbench.errors import UsageError
    from marsbench.text.progress import waiting_for

    until = monotonic() + wait_s
    with waiting_for(f"waiting for {url}", wait_s > 0):
        while True:
            try:
                return await _first_model(http, url)
            except UsageError:
                if monotonic() >= until:
                    raise
            await asyncio.sleep(AGAIN_S)


async def _first_model(http: aiohttp.ClientSession, url: str) -> str:
    """The name of the model that a server serves. Raises UsageError when it does not say."""
    import aiohttp

    from marsbench.errors import UsageError

    base = url.removesuffix("/").removesuffix("/v1")
    try:
        async with http.get(f"{base}/v1/models") as response:
            found: str = (await response.json())["data"][0]["id"]
            return found
    except (aiohttp.ClientError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UsageError(
            f"{base} does not say which model it serves ({type(error).__name__}: {error}); "
            "start the server first, or give --model; --wait 600 gives it ten minutes to come up."
        ) from error


@app.command()
@verb
def record(
    output: Annotated[
        Path, Option("DIR", "Where recordings are written", names=("-o", "--output"))
    ],
    upstream: Annotated[str | None, Option("URL", "The model (else the player by rules)")] = None,
    tasks: Tasks = "shipped",
    host: Host = "127.0.0.1",
    port: Port = 8090,
) -> None:
    """Stand before a model and write down what it answers to each task."""
    asyncio.run(_record(output, upstream, tasks, host, port))


async def _record(output: Path, url: str | None, tasks: str, host: str, port: int) -> None:
    from marsbench.model.models import ChatEndpoint, Model, RecordingModel
    from marsbench.model.player import RulePlayer
    from marsbench.model.server import ChatServer, http_client
    from marsbench.tasks.files import load_tasks

    async with http_client() as http:
        model: Model
        if url is None:
            model, source = RulePlayer({task.id: task for task in load_tasks(tasks)}), "rules"
        else:
            # From the environment, so that it shows in no list of processes and in no file.
            model = ChatEndpoint(http, url, os.environ.get(KEY_VARIABLE))
            source = await _first_model(http, url)
        await _serve(ChatServer(RecordingModel(model, source, output), source), host, port)


async def _serve(server: ChatServer, host: str, port: int) -> None:
    from marsbench.model.server import serve_until_stopped

    await serve_until_stopped(server, host, port, typer.echo)
