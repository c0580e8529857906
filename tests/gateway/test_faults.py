"""A server that fails, clients that send nonsense: the gateway says so, and counts to zero."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from math import isfinite

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from gateway.world import CHAT, World, play, server, unused_port, world
from marsbench.gateway.limits import Limits

CAP = ("fcfs-cap", "cap=1")
SECRET = "sk-very-secret"


async def refusal(answer: aiohttp.ClientResponse) -> str:
    found = (await answer.json())["error"]
    assert found["code"] == answer.status
    assert found["type"] == "marsbench_gateway"
    return str(found["message"])


async def cut(request: web.Request) -> web.StreamResponse:
    """Reset before a word was said."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut_mid_stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    assert request.transport is not None
    request.transport.close()
    return response


async def silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def stalls(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    await asyncio.sleep(60)
    return response


def test_no_server_is_502_with_its_reason_and_the_place_is_free() -> None:
    async def story() -> None:
        nowhere = f"http://127.0.0.1:{unused_port()}"
        async with world(silent, *CAP, upstream=nowhere) as w:
            for session in ("a", "b"):
                async with w.post(session) as answer:
                    assert answer.status == 502
                    assert "Connect call failed" in await refusal(answer)
            assert w.counts == (0, 0, 0, 0)
            assert w.events("session_ended") == ["a", "b"]
            async with w.client.get(f"{w.url}/v1/models") as answer:
                assert answer.status == 502
            async with w.client.get(f"{w.url}/metrics") as answer:
                page = await answer.text()
                assert page.startswith("# the server tells no metrics: ")
                assert 'marsbench_gateway_requests_total{outcome="failed"} 2.0' in page

    play(story())


def test_a_server_that_hangs_up_is_502() -> None:
    async def story() -> None:
        async with world(cut) as w, w.post() as answer:
            assert answer.status == 502
            assert "Disconnected" in await refusal(answer)
            assert w.counts == (0, 0, 0, 0)

    play(story())


def test_a_silent_server_is_504() -> None:
    async def story() -> None:
        async with world(silent, timeout_s=0.05) as w, w.post() as answer:
            assert answer.status == 504
            assert w.counts == (0, 0, 0, 0)

    play(story())


def test_metrics_of_a_server_that_says_nothing_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("marsbench.gateway.upstream.PAGE_S", 0.05)

    async def story() -> None:
        async with server(silent) as nobody, world(silent, upstream=nobody) as w:
            async with w.client.get(f"{w.url}/metrics") as answer:
                page = await answer.text()
            assert page.startswith("# the server tells no metrics: /metrics took more than")
            assert "kv_free_blocks" not in page, "what is not measured is absent"

    play(story())


# The silence of one that stalls has to be longer than a busy machine's between two chunks.
@pytest.mark.parametrize(("script", "timeout_s"), [(cut_mid_stream, 3600.0), (stalls, 2.0)])
def test_a_stream_that_breaks_off_is_no_whole_answer(script: object, timeout_s: float) -> None:
    async def story() -> None:
        async with world(script, timeout_s=timeout_s) as w:  # type: ignore[arg-type]
            async with w.post() as answer:
                assert await answer.content.readany() == b"data: 1\n\n"
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.content.read()
            await w.until(0, 0, 0, 0)

    play(story())


def test_a_session_that_failed_may_begin_again() -> None:
    scripts = [cut_mid_stream, lambda _request: asyncio.sleep(0, web.Response(text="hello"))]

    async def story() -> None:
        async with world(lambda request: scripts.pop(0)(request), *CAP) as w:
            async with w.post() as answer:
                await answer.content.readany()
            await w.until(0, 0, 0, 0)
            async with w.post() as answer:
                assert await answer.text() == "hello"

    play(story())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"s"', b'{"session_id":7}', b"\xff"])
def test_a_body_that_cannot_be_read_is_400(body: bytes) -> None:
    async def story() -> None:
        async with world() as w, w.client.post(w.url + CHAT, data=body) as answer:
            assert answer.status == 400
            assert "no request that can be read" in await refusal(answer)
            assert w.seen == []

    play(story())


def test_a_body_that_is_too_large_is_413() -> None:
    async def story() -> None:
        async with world(limits=Limits(body=100)) as w:
            async with w.client.post(w.url + CHAT, data=b" " * 101) as answer:
                assert answer.status == 413
                await refusal(answer)
            async with w.post() as answer:
                assert answer.status == 200

    play(story())


def test_headers_that_are_too_large_are_431() -> None:
    async def story() -> None:
        async with world() as w:
            many = {f"X-{n}": "v" * 1000 for n in range(40)}
            async with w.client.get(f"{w.url}/v1/models", headers=many) as answer:
                assert answer.status == 431
                await refusal(answer)
            one = {"X": "v" * 100_000}
            async with w.client.get(f"{w.url}/v1/models", headers=one) as answer:
                assert answer.status == 400  # the parser reads no further
            assert w.seen == []

    play(story())


def test_unknown_routes_and_methods_are_refused_in_the_same_form() -> None:
    async def story() -> None:
        async with world() as w:
            for method, path, status in (("GET", "/x", 404), ("GET", "/marsbench/tool_end", 405)):
                async with w.client.request(method, w.url + path) as answer:
                    assert answer.status == status
                    await refusal(answer)

    play(story())


async def _everything_goes_wrong(w: World) -> None:
    secret = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}
    for path in (CHAT, "/v1/models", "/marsbench/info", f"/v1/x?key={SECRET}"):
        for body in (b'{"session_id":"s"}', b"{", b'{"api_key":"%s"}' % SECRET.encode()):
            async with w.client.post(w.url + path, data=body, headers=secret) as answer:
                with contextlib.suppress(aiohttp.ClientPayloadError):
                    await answer.read()
    long = {"Authorization": f"Bearer {SECRET}" + "x" * 100_000}
    async with w.client.get(f"{w.url}/v1/models", headers=long) as answer:
        assert answer.status == 400
    port = int(w.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nAuthorization{SECRET}\x00\r\n\r\n".encode())
    await reader.read()
    writer.close()


@pytest.mark.parametrize("reachable", [True, False])
def test_credentials_are_never_logged(reachable: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        elsewhere = {} if reachable else {"upstream": f"http://127.0.0.1:{unused_port()}"}
        async with world(cut_mid_stream, **elsewhere) as w:
            await _everything_goes_wrong(w)

    with caplog.at_level(logging.DEBUG):
        play(story())
    assert any(record.name.startswith("marsbench") for record in caplog.records)
    assert SECRET not in caplog.text
    assert SECRET not in json.dumps([str(vars(record)) for record in caplog.records])


def test_a_server_that_is_not_there_is_said_once_and_again_when_it_is_gone_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fails = [True, True, True, False, True]

    async def script(request: web.Request) -> web.StreamResponse:
        return await cut(request) if fails.pop(0) else web.Response(text="here")

    async def story() -> None:
        async with world(script) as w:
            for _ in range(5):
                async with w.client.post(f"{w.url}/v1/models"):
                    pass

    play(story())
    assert [r.getMessage()[:9] for r in caplog.records] == ["no answer", "no answer"]


def test_every_figure_is_a_number_where_the_server_tells_none() -> None:
    """A scraper drops what is none (AIPerf says so), and a sum with it is none."""

    async def story() -> None:
        async with world() as w:
            async with w.post():
                pass
            async with w.client.get(f"{w.url}/metrics") as answer:
                page = await answer.text()
            families = list(text_string_to_metric_families(page))
            assert len(families) > 5
            assert all(isfinite(one.value) for family in families for one in family.samples)

    play(story())
