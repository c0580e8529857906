"""What is matched is what the server is asked for, and nothing else gets there."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web

from gateway.world import CHAT, World, play, world
from marsbench.gateway.paths import normalised, without_host

ROUND = json.dumps({"session_id": "s", "prompt": [1]}).encode()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/models?a=%2e%2e", ("/v1/models", "?a=%2e%2e")),
        ("/v1/chat/completions/", ("/v1/chat/completions", "")),
        ("//v1//models", ("/v1/models", "")),
        ("/v1/../x", ("/x", "")),
        ("/v1/%2e%2e/x", ("/x", "")),
        ("/v1/%2E./../../x", ("/x", "")),
        ("/v1/%6dodels", ("/v1/models", "")),
        ("/v1/models/a%2fb", ("/v1/models/a%2Fb", "")),
        ("http://else.where/v1/models?x", ("/v1/models", "?x")),
        ("HTTP://else.where", ("/", "")),
        ("/v1/%2e%2e%2fx", None),
        ("/v1/%252e%252e/x", None),
        ("/v1/..\\x", None),
        ("/v1/%5c..%5cx", None),
        ("/v1/a%00", None),
        ("*", None),
        ("else.where:443", None),
    ],
)
def test_a_target_has_one_form(target: str, path: tuple[str, str] | None) -> None:
    assert normalised(target) == path


async def raw(w: World, target: str, method: str = "POST") -> int:
    """The status of a request whose target no client library has looked at."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(w.url.rpartition(":")[2]))
    head = f"{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(ROUND)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + ROUND)
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


@pytest.mark.parametrize(
    "target",
    [
        "/v1/chat/completions/",
        "/v1/x/../chat/completions",
        "http://h/v1/chat/completions",
        "//v1/chat//completions",
        "/v1/%63hat/completions",
    ],
)
def test_a_round_is_one_however_its_path_is_written(target: str) -> None:
    async def story() -> None:
        async with world() as w:
            assert await raw(w, target) == 200
            assert w.events("session_arrived") == ["s"], "it was held like any other"
            assert [request.raw_path for request, _ in w.seen] == [CHAT]

    play(story())


@pytest.mark.parametrize("target", ["/v1/../x", "/v1/%2e%2e/x", "/v1/%2e%2e%2fx", "/", "/x"])
def test_what_is_not_listed_never_reaches_the_server(target: str) -> None:
    async def story() -> None:
        async with world() as w:
            assert await raw(w, target) == 404
            assert w.seen == []

    play(story())


def test_a_redirect_never_names_the_server() -> None:
    async def away(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"http://{request.host}/v1/y?z=1"})

    async def story() -> None:
        async with (
            world(away) as w,
            w.client.get(f"{w.url}/v1/x", allow_redirects=False) as answer,
        ):
            assert (answer.status, answer.headers["Location"]) == (307, "/v1/y?z=1")

    play(story())


def test_a_redirect_elsewhere_and_below_a_prefix() -> None:
    assert without_host("Location", "https://a.b/c", "http://h:1") == "https://a.b/c"
    assert without_host("location", "https://h/api/v1/x", "http://h:1/api") == "/v1/x"
    assert without_host("Location", "http://h:1", "http://h:1") == "/"
    assert without_host("X-Other", "http://h:1/x", "http://h:1") == "http://h:1/x"
