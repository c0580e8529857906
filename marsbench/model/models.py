"""What stands behind the chat interface: a replay, or a recorder in front of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from marsbench.model.chat import (
    SESSION_HEADER,
    TASK_HEADER,
    Answer,
    ChatRequest,
    RefusedError,
    answer_of,
)
from marsbench.model.recording import Recording
from marsbench.model.upstream import BackingServer, post


class Model(Protocol):
    """Answers a chat request, or raises RefusedError."""

    async def answer(self, asked: ChatRequest) -> Answer: ...


class Replay:
    """Answers as recorded, after the server behind it, if there is one, has done the work."""

    def __init__(self, recordings: Mapping[str, Recording], upstream: BackingServer | None) -> None:
        self._recordings = recordings
        self._upstream = upstream

    async def answer(self, asked: ChatRequest) -> Answer:
        """The recorded answer. Raises RefusedError when this was never asked."""
        recording = self._recordings.get(asked.task)
        if recording is None:
            known = ", ".join(sorted(self._recordings))
            what = f"not recorded: task '{asked.task}'; recorded are {known}"
            raise RefusedError(409, "not_recorded", what)
        answer = recording.find(asked)
        if self._upstream is None:
            return answer
        return await self._upstream.work(asked, answer)


class RecordingModel:
    """Passes every request on to a model and writes down what it answers, a file a task."""

    def __init__(self, model: Model, source: str, folder: Path) -> None:
        self._model = model
        self._source = source
        self._folder = folder
        self._recordings: dict[str, Recording] = {}

    async def answer(self, asked: ChatRequest) -> Answer:
        """The model's answer, recorded. The last session of a task is the one that stays."""
        answer = await self._model.answer(asked)
        new = Recording(asked.task, self._source)
        recording = self._recordings.setdefault(asked.task, new)
        recording.add(asked, answer)
        # Each round, so that what was recorded outlives whatever comes next.
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{asked.task}.json"
        path.write_text(recording.to_json(), encoding="utf-8")
        return answer


class ChatEndpoint:
    """Any OpenAI-compatible model, asked without streaming."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str | None = None) -> None:
        self._http = http
        self._url = url.removesuffix("/").removesuffix("/v1") + "/v1/chat/completions"
        self._key = key

    async def answer(self, asked: ChatRequest) -> Answer:
        """The endpoint's answer. Raises RefusedError with its words when it refuses."""
        body: dict[str, Any] = {**asked.body, "stream": False}
        body.pop("stream_options", None)
        headers = {SESSION_HEADER: asked.session, TASK_HEADER: asked.task}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return answer_of(await post(self._http, self._url, body, headers, "the endpoint"))
