"""A replay on a free port, in a thread of its own, for agents in processes of theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marsbench.core.backends import choose
from marsbench.core.workload.knobs import Knobs
from marsbench.engines import run
from marsbench.hardware.profile import load_hardware
from marsbench.model.chat import Answer, ChatRequest
from marsbench.model.models import Model, Replay
from marsbench.model.recording import Recording, load_recordings
from marsbench.model.server import ChatServer, serving
from marsbench.runs import RunFolder, RunSummary
from marsbench.runs.request import RunRequest
from marsbench.wall.agents.options import OpenHandsOptions
from waits import until


class Watched:
    """A model, and every session id that it was asked under."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.sessions: list[str] = []
        self.bodies: list[Mapping[str, Any]] = []

    async def answer(self, asked: ChatRequest) -> Answer:
        self.sessions.append(asked.session)
        self.bodies.append(asked.body)
        return await self._model.answer(asked)


@contextmanager
def replay_server(model: Model) -> Iterator[str]:
    """The URL of a chat server with this model."""
    started, urls, errors = threading.Event(), [], []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with serving(ChatServer(model), "127.0.0.1", 0) as url:
            urls.append(url)
            started.set()
            await stop.wait()

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            errors.append(error)
            raise
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    until(started.is_set)
    assert not errors
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        until(lambda: not thread.is_alive())


def replayed(extra: Mapping[str, Recording] | None = None) -> Watched:
    """The shipped recordings, and more."""
    return Watched(Replay({**load_recordings(), **(extra or {})}, None))


def play(
    model: Model, output: Path, knobs: Knobs, tasks: str, **options: Any
) -> tuple[RunFolder, RunSummary]:
    """A run of real agents against this model."""
    with replay_server(model) as url:
        path, summary = run(
            RunRequest(
                choice=choose("fcfs"),
                engine="openhands",
                knobs=knobs,
                hardware=load_hardware(),
                output=output,
                show_progress=False,
                own=OpenHandsOptions(url=url, tasks=tasks, **options),
            )
        )
    return RunFolder.open(path), summary
