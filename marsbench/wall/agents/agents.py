"""The processes of real agents, as the harness sees them: start one, kill one, listen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from marsbench.errors import RunFailedError, UsageError
from marsbench.patience import Patience
from marsbench.tasks.commands import plain_environment

WORKER = Path(__file__).with_name("agent_worker.py")
SILENCE_S = 240.0
LOOK_S = 0.5
STOP_S = 10.0
LINE_LIMIT = 1 << 20
Said = TypeVar("Said")


class Agents:
    """A launcher in OpenHands' own environment, and the agents that it forks."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.version = ""

    def start(self, job: Mapping[str, Any]) -> None:
        """Forks an agent for this job."""
        self._say({"do": "start", "job": dict(job)})

    def kill(self, session: str) -> None:
        """Kills the session's agent with all that it started."""
        self._say({"do": "kill", "session": session})

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What agents say, as it comes. Raises RunFailedError when the launcher is gone."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            yield json.loads(line)
        raise RunFailedError(f"The agents' launcher ended by itself; {self._log} says why.")

    async def ready(self) -> None:
        """Waits until OpenHands is imported and one agent has been tried."""
        try:
            first = await self._waited_for(anext(self.messages()), SILENCE_S)
        except (TimeoutError, RunFailedError) as error:
            raise UsageError(
                f"OpenHands could not be started: {_last_line(self._log)}; "
                "`make openhands` builds its environment anew."
            ) from error
        if first["refused"] or first["problem"]:
            why = first["problem"] or f"it asked the network for {first['refused'][0]}"
            raise UsageError(f"OpenHands failed its trial before the first agent: {why}")
        self.version = first["sdk"]

    async def _waited_for(self, work: Awaitable[Said], silence_s: float) -> Said:
        """What comes of it. Raises TimeoutError when the launcher does nothing for so long."""
        awaited = asyncio.ensure_future(work)
        patience = Patience(self._process.pid, silence_s, self._log)
        while not (await asyncio.wait({awaited}, timeout=LOOK_S))[0]:
            if patience.is_over():
                awaited.cancel()
                raise TimeoutError
        return awaited.result()

    def _say(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def stop(self) -> None:
        """Ends the launcher, which kills what agents are left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await self._waited_for(self._process.wait(), STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


@asynccontextmanager
async def agents_of(python: Path, log: Path, home: Path) -> AsyncIterator[Agents]:
    """Agents of an environment, ready; none is left when the block ends.

    log: what OpenHands and its agents print. home: their home folder, so that nobody's own
    settings are read. Raises UsageError when it cannot be started.
    """
    home.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            str(python), "-P", "-W", "ignore", str(WORKER),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
            env=plain_environment(os.environ) | {"HOME": str(home)}, limit=LINE_LIMIT,
            # Ctrl-C is for the harness, which then ends the agents in order.
            start_new_session=True,
        )  # fmt: skip
    agents = Agents(process, log)
    try:
        await agents.ready()
        yield agents
    finally:
        await agents.stop()
