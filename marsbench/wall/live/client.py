"""One round on the wire: what is asked, what came back and when, and why it failed."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from marsbench.clock import monotonic
from marsbench.core import events
from marsbench.core.session import Generate, Prompt
from marsbench.wall.live.endpoint import Endpoint
from marsbench.wall.live.prompts import PromptContext
from marsbench.wall.live.stream import AnswerError, StreamedAnswer, read_answer
from marsbench.wall.live.token_times import TokenTimes
from marsbench.wall.nonce import WireNames
from marsbench.wall.server import headers
from marsbench.wall.stage import Stage
from marsbench.wall.wire import NO_ANSWER, Exchange
from marsbench_backends.signals import DEFAULT_TENANT

ALIVE_S = 60.0  # a server that is busy is not dead


class RoundFailedError(Exception):
    """A request failed, and with it its session: why, and when (the run's seconds)."""

    def __init__(self, reason: str, at: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at


class ServerDiedError(Exception):
    """The server answers nobody any more: why."""


@dataclass(slots=True)
class Ask:
    """A round to be asked for; `ready_at` is when its prompt was complete.

    future: what only a clairvoyant policy is told, as `signals.Future`.
    """

    session: str
    step: Generate
    context: PromptContext
    ready_at: float
    parent: str | None = None
    reusable_tokens: int | None = None
    future: list[float] | None = None
    tenant: str = DEFAULT_TENANT

    @property
    def prompt(self) -> Prompt:
        return self.step.prompt


@dataclass(slots=True)
class ClientRecord:
    """What the client knows of itself. lags: wall seconds from ready to sent."""

    lags: array[float] = field(default_factory=lambda: array("d"))
    rounds: int = 0
    other_prompt_length: int = 0
    other_output_length: int = 0
    in_flight: int = 0
    token_times: TokenTimes = field(default_factory=TokenTimes)


class Rounds:
    """Asks for rounds and writes down what happened to them. An async context.

    timeout_s: wall seconds without a byte after which a round has failed.
    """

    def __init__(
        self,
        stage: Stage,
        record: Callable[[events.Event], None],
        endpoint: Endpoint,
        timeout_s: float,
        client: ClientRecord,
    ) -> None:
        self._wire = stage.wire
        self._server = stage.server
        self._names = stage.names
        self._clock = stage.clock
        self._record = record
        self._endpoint = endpoint
        self._url = httpx.URL(stage.server.root + endpoint.path)
        self._timeout_s = timeout_s
        self._client = client
        self._silent: dict[Exchange, asyncio.Timeout] = {}
        self._alive: asyncio.Task[str | None] | None = None

    async def __aenter__(self) -> Rounds:
        self._watching = asyncio.create_task(self._watch())
        await self._wire.warm(f"{self._server.root}/v1/models")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    async def ask(self, ask: Ask) -> float:
        """The round, to the end of its answer, whose time it returns.

        Raises RoundFailedError, or ServerDiedError when there is no server left to ask.
        """
        exchange = Exchange(self._sent(ask), self._first(ask), self._endpoint.holds_token)
        content = self._content(ask)
        self._client.in_flight += 1
        try:
            status, body = await self._post(ask, content, exchange)
        finally:
            self._client.in_flight -= 1
        at = self._clock.of(exchange.last_at)
        if status != 200:
            raise await self._failed(f"HTTP {status}: {said(body)}", at, status >= 500)
        try:
            answer = read_answer(body)
        except AnswerError as error:
            raise RoundFailedError(str(error), at) from error
        self._answered(ask, answer, exchange)
        await self._remember(ask, answer, at)
        return at

    async def _post(self, ask: Ask, content: bytes, exchange: Exchange) -> tuple[int, bytes]:
        name = self._names.of(ask.session)
        head = {**headers(), "Content-Type": "application/json", "X-Session-ID": name}
        try:
            with self._watched(exchange) as silence:
                async with silence:
                    return await self._wire.post(self._url, head, content, exchange)
        except TimeoutError as error:
            reason = f"no byte came for {self._timeout_s:g} s"
            raise RoundFailedError(reason, self._clock.now) from error
        except NO_ANSWER as error:
            raise await self._failed(why(error), self._clock.now, True) from error

    async def _failed(self, reason: str, at: float, is_fatal: bool) -> Exception:
        """The round's failure; or the server's, if it no longer answers anybody."""
        dead = await self._is_dead() if is_fatal else None
        return RoundFailedError(reason, at) if dead is None else ServerDiedError(dead)

    # --- what is asked

    def _content(self, ask: Ask) -> bytes:
        fields = json.dumps(self._fields(ask))
        prompt = self._endpoint.prompt % ask.context.prompt(ask.prompt)
        return b"%s,%s}" % (fields[:-1].encode(), prompt)

    def _fields(self, ask: Ask) -> dict[str, Any]:
        output = ask.prompt.output_tokens
        fields: dict[str, Any] = {
            "model": self._server.model,
            "max_tokens": output,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._server.is_vllm:
            fields |= {
                "min_tokens": output,
                "ignore_eos": True,
                "add_special_tokens": False,
                "return_token_ids": True,
                "session_id": self._names.of(ask.session),
                "vllm_xargs": _xargs(ask, self._names),
            }
        return fields

    # --- what came back

    def _sent(self, ask: Ask) -> Callable[[float], None]:
        prompt = ask.prompt

        def sent(wall: float) -> None:
            at = self._clock.of(wall)
            self._client.lags.append((at - ask.ready_at) / self._clock.speed)
            self._record(
                events.GpuSubmit(
                    at, ask.session, prompt.round, prompt.num_tokens, prompt.output_tokens
                )
            )

        return sent

    def _first(self, ask: Ask) -> Callable[[float], None]:
        def first(wall: float) -> None:
            at = self._clock.of(wall)
            self._record(events.GpuFirstToken(at, ask.session, ask.prompt.round))

        return first

    def _answered(self, ask: Ask, answer: StreamedAnswer, exchange: Exchange) -> None:
        session, prompt = ask.session, ask.prompt
        times = self._clock.of(exchange.at(answer.offsets))
        first, last = float(times[0]), float(times[-1])
        self._client.token_times.add(session, prompt.round, times, answer.counts)
        client = self._client
        client.rounds += 1
        client.other_output_length += answer.output_tokens != prompt.output_tokens
        client.other_prompt_length += answer.prompt_tokens not in (None, prompt.num_tokens)
        if not exchange.answered:  # the first token's event was cut in two on its way
            self._record(events.GpuFirstToken(first, session, prompt.round))
        if answer.cached_tokens is not None:
            self._record(
                events.PromptCached(
                    last, session, prompt.round, answer.cached_tokens, ask.reusable_tokens
                )
            )
        self._record(events.GpuEnd(last, session, prompt.round, answer.output_tokens))

    async def _remember(self, ask: Ask, answer: StreamedAnswer, at: float) -> None:
        """The answer is part of the next prompt; text may have to be counted by the server."""
        try:
            await ask.context.answered(answer.token_ids, "".join(answer.texts), ask.prompt)
        except NO_ANSWER as error:
            raise await self._failed(why(error), at, True) from error

    # --- silence and death

    @contextmanager
    def _watched(self, exchange: Exchange) -> Iterator[asyncio.Timeout]:
        silence = self._silent[exchange] = asyncio.timeout(None)
        try:
            yield silence
        finally:
            del self._silent[exchange]

    async def _watch(self) -> None:
        """One look at all rounds now and then: a timer for every chunk would cost as much as it."""
        while True:
            await asyncio.sleep(min(1.0, self._timeout_s / 4))
            oldest = monotonic() - self._timeout_s
            now = asyncio.get_running_loop().time()
            for exchange, silence in self._silent.items():
                if exchange.last_at < oldest:
                    silence.reschedule(now)

    async def _is_dead(self) -> str | None:
        """Why the server is dead; None while it lives. Rounds that fail together ask once."""
        if self._alive is None or self._alive.done():
            self._alive = asyncio.create_task(self._ask_alive())
        return await asyncio.shield(self._alive)

    async def _ask_alive(self) -> str | None:
        try:
            answer = await self._wire.client.get(
                f"{self._server.root}/v1/models", headers=headers(), timeout=ALIVE_S
            )
        except NO_ANSWER as error:
            return why(error)
        return f"HTTP {answer.status_code}" if answer.status_code >= 500 else None


def _xargs(ask: Ask, names: WireNames) -> dict[str, Any]:
    """What vLLM hands to the scheduler with a request (`marsbench_backends.vllm.session_table`)."""
    facts = {
        "session_id": names.of(ask.session),
        "marsbench_round": ask.prompt.round,
        "marsbench_last": int(ask.step.is_last),
        "marsbench_tools": [call.name for call in ask.step.calls],
        "marsbench_parent": ask.parent and names.of(ask.parent),
        "marsbench_reusable": ask.reusable_tokens,
        "marsbench_future": ask.future,
        "marsbench_tenant": None if ask.tenant == DEFAULT_TENANT else ask.tenant,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def why(error: BaseException) -> str:
    """One line of what the library says; some of its errors have no text of their own."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def said(body: bytes) -> str:
    """What a refusal says, in one line."""
    try:
        found = json.loads(body)
        inner = found.get("error", found)
        return str(inner.get("message", inner) if isinstance(inner, dict) else inner)[:200]
    except (ValueError, AttributeError):
        return body[:200].decode(errors="replace").strip() or "(no body)"
