"""A trivial server of token streams and a driver for many of them, as cheap as asyncio goes.

    python -m benchmarks.streams    (the server; prints its port)

The server says in a stream's first event when the request was whole there and when the event was
sent, so that the driver can tell how long a request and its first byte were on their way.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

TOKENS, GAP_S, FIRST_S = 40, 0.125, 0.05
KV_PAGE = b"""vllm:kv_cache_usage_perc{engine="0"} 0.5
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="10000000"} 1.0
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
TIMES = re.compile(rb'"whole": ([\d.]+), "sent": ([\d.]+)')


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


TOKEN = chunk(b'data: {"choices": [{"index": 0, "delta": {"content": " word"}}]}\n\n')


class Server(asyncio.Protocol):
    """Answers every POST with a stream of TOKENS events, every GET with a vLLM metrics page."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parts: list[bytes] = []
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        if not self._parts:
            head, _, body = data.partition(b"\r\n\r\n")
            if head.startswith(b"GET"):
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(KV_PAGE), KV_PAGE)
                )
                return
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            assert length
            self._missing = int(length[1]) - len(body)
        else:
            self._missing -= len(data)
        self._parts.append(data)
        if not self._missing:
            self._parts = []
            asyncio.get_running_loop().call_later(FIRST_S, self._first, time.perf_counter())

    def _first(self, whole_at: float) -> None:
        times = b'data: {"whole": %.6f, "sent": %.6f}\n\n' % (whole_at, time.perf_counter())
        self._transport.write(HEAD + chunk(times))
        asyncio.get_running_loop().call_later(GAP_S, self._next, TOKENS - 1)

    def _next(self, left: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(TOKEN if left > 1 else TOKEN + END)
        if left > 1:
            asyncio.get_running_loop().call_later(GAP_S, self._next, left - 1)


@dataclass
class Lane(asyncio.Protocol):
    """One session: round after round on one connection.

    on_the_way_s: of each round, what its first byte took beside the server's own time.
    """

    request: bytes
    on_the_way_s: list[tuple[float, float]] = field(default_factory=list)
    ended: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._tail, self._started = b"", False
        self._sent_at = time.perf_counter()
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._tail = (self._tail + data)[-400:]
        if not self._started and (times := TIMES.search(self._tail)):
            self._started = True
            server_s = float(times[2]) - float(times[1])
            self.on_the_way_s.append((now, now - self._sent_at - server_s))
        if self._tail.endswith(END):
            self.ended += 1
            self._send()

    def close(self) -> None:
        self._transport.abort()


def request_of(session: str, prompt: bytes) -> bytes:
    """A streamed completion of that session, as bytes on the wire."""
    body = b'{"model": "m", "stream": true, "session_id": "%b", "prompt": %b}'
    content = body % (session.encode(), prompt)
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(content) + content


async def drive(port: int, lanes: int, prompt: bytes, seconds: float) -> tuple[list[float], float]:
    """Keep `lanes` streams running: (seconds on the way of each first byte, rounds a second).

    The lanes begin one after the other within one round's time; what is measured begins after it.
    """
    loop = asyncio.get_running_loop()
    round_s = FIRST_S + (TOKENS - 1) * GAP_S
    found = []
    for number in range(lanes):
        lane = Lane(request_of(f"s{number}", prompt))
        await loop.create_connection(lambda lane=lane: lane, "127.0.0.1", port)  # type: ignore[misc]
        found.append(lane)
        await asyncio.sleep(round_s / lanes)
    since, before = time.perf_counter(), sum(lane.ended for lane in found)
    await asyncio.sleep(seconds)
    ended = sum(lane.ended for lane in found) - before
    took = time.perf_counter() - since
    for lane in found:
        lane.close()
    return [s for lane in found for at, s in lane.on_the_way_s if at >= since], ended / took


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
