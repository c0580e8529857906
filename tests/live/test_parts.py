"""The parts of the live engine, each by itself."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import aiohttp
import httpx
import msgspec
import pytest

from live.world import METRICS, Call, serving
from marsbench.clock import WallClock, monotonic
from marsbench.core import events
from marsbench.core.backends import choose
from marsbench.core.events import Event, SessionArrived
from marsbench.core.session import Round, Session, ToolCall
from marsbench.errors import UsageError
from marsbench.serve.kv_events import BlockRemoved, BlockStored, decode
from marsbench.serve.metrics_page import ServerMetrics
from marsbench.wall.config import option_facts
from marsbench.wall.kv_events import KvEvents
from marsbench.wall.live.endpoint import COMPLETIONS
from marsbench.wall.live.ideals import apart, sample, with_rest
from marsbench.wall.live.options import LiveOptions, ToolsAs
from marsbench.wall.live.stream import AnswerError, read_answer
from marsbench.wall.live.tools import ToolRunner
from marsbench.wall.recorder import EventRecorder
from marsbench.wall.server import Server, check_backend, metrics_told
from marsbench.wall.wire import Exchange, StampedConnection, Wire
from metrics_pages import NO_PAGE, OF_TWO_ENGINES, TWO_ENGINES
from waits import turns

# --- what a server answers


def test_an_answer_says_which_events_hold_tokens_and_how_many() -> None:
    body = (
        b': ping\n\ndata: {"choices":[{"text":"a","token_ids":[5]}]}\n\n'
        b'data: {"choices":[{"text":"bc","token_ids":[6,7]}]}\r\n\r\n'
        b'data:{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,'
        b'"prompt_tokens_details":{"cached_tokens":8}}}\n\ndata: [DONE]\n\n'
    )
    answer = read_answer(body)
    assert [body[offset : offset + 7] for offset in answer.offsets] == [b"data: {"] * 2
    assert (answer.counts, answer.token_ids, answer.output_tokens) == ([1, 2], [5, 6, 7], 3)
    assert (answer.prompt_tokens, answer.cached_tokens, answer.texts) == (9, 8, ["a", "bc"])


def test_without_ids_one_token_an_event_is_believed_only_if_it_adds_up() -> None:
    event = b'data: {"choices":[{"text":"a","finish_reason":null}]}\n\n'
    end = b'data: {"choices":[{"text":"","finish_reason":"stop"}],"usage":{"completion_tokens":%d}}'
    right = read_answer(event * 2 + end % 2 + b"\n\ndata: [DONE]\n\n")
    assert (right.counts, right.output_tokens, right.cached_tokens) == ([1, 1], 2, None)
    wrong = read_answer(event * 2 + end % 5 + b"\n\ndata: [DONE]\n\n")
    assert (wrong.counts, wrong.output_tokens, len(wrong.offsets)) == (None, 5, 2)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "closed before its end"),
        (b"data: [DONE]\n\n", "no token"),
        (b"oops\n\n", "no event: oops"),
        (b"data: {\n\n", "malformed"),
        (b'data: {"choices":"no"}\n\n', "malformed"),
        (b'data: {"error":{"message":"x"}}\n\n', "gave up"),
    ],
)
def test_what_is_no_answer_is_named(body: bytes, why: str) -> None:
    with pytest.raises(AnswerError, match=why):
        read_answer(body)


def test_a_servers_metrics_are_what_its_page_says_or_none() -> None:
    told = ServerMetrics(0.25, 3, 2, 7, 400, 16)
    assert metrics_told(httpx.Response(200, text=METRICS)) == told
    assert metrics_told(httpx.Response(200, text=TWO_ENGINES)) == OF_TWO_ENGINES
    assert metrics_told(httpx.Response(200, text=NO_PAGE)) is None
    assert metrics_told(httpx.Response(404, text=METRICS)) is None
    assert metrics_told(None) is None


# --- the wire


def test_aiohttps_connections_are_made_where_we_put_ours_in() -> None:
    """The seam: a connector makes its protocols by `_factory`."""

    async def found() -> object:
        async with aiohttp.TCPConnector() as connector:
            return connector._factory

    factory = asyncio.run(found())
    assert isinstance(factory, functools.partial)
    assert factory.func is StampedConnection.__base__


def test_bytes_are_stamped_as_they_arrive_though_they_are_read_at_the_end() -> None:
    """The server sends each token when the one before has been stamped, and notes when."""
    sent: list[float] = []
    first: list[float] = []
    written: list[float] = []
    exchanges: list[Exchange] = []

    async def script(call: Call) -> object:
        response = await call.begin()
        for number in range(3):
            stamps = len(exchanges[0].times)
            written.append(monotonic())
            await call.token(response, number)
            assert await turns(lambda: len(exchanges[0].times) > stamps)  # noqa: B023
        written.append(monotonic())
        return await call.end(response, 3)

    async def main(url: str) -> tuple[Exchange, bytes]:
        exchange = Exchange(sent.append, first.append, COMPLETIONS.holds_token)
        exchanges.append(exchange)
        async with Wire() as wire:
            await wire.warm(f"{url}/v1/models")
            head = {"Content-Type": "application/json", "X-Session-ID": "s"}
            content = b'{"prompt":[1],"max_tokens":3}'
            status, body = await wire.post(
                httpx.URL(f"{url}/v1/completions"), head, content, exchange
            )
        assert status == 200
        return exchange, body

    with serving(script) as server:  # type: ignore[arg-type]
        exchange, body = asyncio.run(main(server.url))
    times = exchange.at(read_answer(body).offsets)
    assert sent == [exchange.sent_at]
    assert first == [times[0]]
    for at, (before, after) in zip(times, pairwise(written), strict=True):
        assert before <= at <= after


def test_connections_are_used_again() -> None:
    async def script(call: Call) -> object:
        return await call.answer()

    async def main(url: str) -> None:
        async with Wire() as wire:
            for _ in range(5):
                exchange = Exchange(lambda _: None, lambda _: None, COMPLETIONS.holds_token)
                head = {"Content-Type": "application/json", "X-Session-ID": "s"}
                content = b'{"prompt":[1],"max_tokens":3}'
                await wire.post(httpx.URL(f"{url}/v1/completions"), head, content, exchange)

    with serving(script) as server:  # type: ignore[arg-type]
        asyncio.run(main(server.url))
    assert len({call.request._transport_peername for call in server.calls}) == 1


# --- order


def recorded(*batches: list[float]) -> list[float]:
    written: list[Event] = []
    clock = WallClock()
    recorder = EventRecorder(written.append, clock)
    for batch in batches:
        for at in batch:
            recorder(SessionArrived(at, f"s{at}"))
        recorder.tick()
    recorder.close()
    return [event.at for event in written]


def test_events_are_written_by_time_however_they_are_learnt() -> None:
    assert recorded([3.0, 1.0, 2.0]) == [1.0, 2.0, 3.0]


def test_time_never_goes_back_even_for_what_is_learnt_too_late() -> None:
    times = recorded([0.0], [], [], [0.0, -5.0])
    assert times == sorted(times)
    assert len(times) == 3


# --- tools


@asynccontextmanager
async def tools(how: ToolsAs, speed: float = 1.0) -> AsyncIterator[ToolRunner]:
    clock = WallClock(speed)
    async with ToolRunner(clock, how, 1, None) as found:
        clock.start()
        yield found


BURNS, WAITS = ToolCall("test", "cpu", cpu_s=0.2), ToolCall("fetch", floor_s=0.1)
PARALLEL = ToolCall("build", "cpu", cpu_s=0.2, cores=2)


async def ends(how: ToolsAs, *calls: ToolCall, speed: float = 1.0) -> list[float]:
    async with tools(how, speed) as host:
        return await asyncio.gather(*(host.run(call, 0.0) for call in calls))


def test_asleep_two_calls_share_the_modelled_core_to_the_microsecond() -> None:
    assert asyncio.run(ends("sleep", BURNS, BURNS, WAITS)) == pytest.approx([0.4, 0.4, 0.1])


@pytest.mark.parametrize(
    ("how", "loads"), [("sleep", [1, 0, 0]), ("both", [1, 0, 0]), ("cpu", [1, 1, 0])]
)
def test_what_is_played_as_work_for_a_core_is_load(how: ToolsAs, loads: list[int]) -> None:
    agent = ToolCall("agent", "agent", child=Session("child", (Round(8, 1),)))

    async def found() -> list[bool]:
        async with tools(how) as host:
            return [host.burns_cpu(call) for call in (BURNS, WAITS, agent)]

    assert asyncio.run(found()) == loads


def test_asleep_at_speed_they_take_the_same_seconds_of_the_run() -> None:
    began = monotonic()
    assert asyncio.run(ends("sleep", BURNS, BURNS, speed=4.0)) == pytest.approx([0.4, 0.4])
    assert monotonic() - began >= 0.1


def test_asleep_a_parallel_call_is_two_threads_beside_one() -> None:
    assert asyncio.run(ends("sleep", PARALLEL, BURNS)) == pytest.approx([0.3, 0.4])


def test_awake_a_parallel_call_burns_on_a_process_for_each_core() -> None:
    async def main() -> int:
        async with tools("both") as host:
            await host.run(PARALLEL, 0.0)
            return len(host._burners._all)

    assert asyncio.run(main()) == 2


@pytest.mark.parametrize(
    ("how", "call"), [("both", BURNS), ("cpu", BURNS), ("cpu", WAITS), ("both", PARALLEL)]
)
def test_awake_a_call_burns_its_cpu_seconds(how: ToolsAs, call: ToolCall) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    (end,) = asyncio.run(ends(how, call))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = max(call.cpu_s, call.floor_s)
    assert end >= call.alone_s
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime >= seconds * 0.9


def test_by_kind_a_call_that_waits_starts_no_process() -> None:
    async def main() -> int:
        async with tools("both") as host:
            await host.run(WAITS, 0.0)
            return len(host._burners._all)

    assert asyncio.run(main()) == 0


# --- KV events


def batch(*found: BlockStored | BlockRemoved) -> bytes:
    return msgspec.msgpack.encode([1.0, found, None])


@pytest.fixture
def kv():
    written: list[Event] = []
    sessions = {"a": Session("a", (Round(40, 1),), prefix_group="g", prefix_tokens=20)}

    async def listener() -> KvEvents:
        return KvEvents("inproc://nobody", WallClock(), written.append, sessions)

    listening = asyncio.run(listener())
    yield listening, written
    listening.close()


def told(kv: KvEvents, number: int, *found: BlockStored | BlockRemoved) -> None:
    kv.read([b"", number.to_bytes(8, "big"), batch(*found)])


def stored(*hashes: int, parent: int | None = None, session: str | None = "a") -> BlockStored:
    return BlockStored(list(hashes), parent, block_size=8, medium="GPU", session_id=session)


def test_evicted_blocks_are_their_sessions_or_their_prefixs(kv) -> None:
    listening, written = kv
    told(listening, 0, stored(1, 2, 3), stored(4, parent=3), stored(9, session="foreign"))
    told(listening, 1, BlockRemoved([4, 1, 9, 77], "GPU"), BlockRemoved([3], "CPU"))
    lost = {e.owner: e.blocks for e in written if isinstance(e, events.Evicted)}
    # Tokens 0 to 15 lie in the shared 20 whole; 16 to 23 are the session's own.
    assert lost == {"prefix:g": 1, "a": 1, "other": 2}
    told(listening, 2, BlockRemoved([2, 3], "GPU"))
    assert [(e.owner, e.blocks) for e in written[-2:]] == [("prefix:g", 1), ("a", 1)]


def test_a_missing_number_makes_the_evictions_unknown(kv) -> None:
    listening, written = kv
    told(listening, 5, stored(1))
    told(listening, 6, stored(2))
    assert written == []
    told(listening, 9, stored(3))
    (gap,) = written
    assert isinstance(gap, events.Unmeasured)
    assert (gap.what, gap.reason) == ("evicted", "KV events 7 to 8 were lost on their way")
    told(listening, 12, stored(3))
    assert len(written) == 1  # said once


def test_an_endpoint_that_was_never_heard_counts_no_evictions() -> None:
    written: list[Event] = []

    async def main() -> None:
        KvEvents("tcp://127.0.0.1:1", WallClock(), written.append, {}).close()

    asyncio.run(main())
    assert [type(event) for event in written] == [events.Unmeasured]


@pytest.mark.vllm
def test_the_structs_are_vllms() -> None:
    """Every field that we read is one that vLLM 0.33.0 writes, under the same tag."""
    from vllm.distributed import kv_events as theirs

    for ours in (BlockStored, BlockRemoved):
        known = {field.name for field in msgspec.structs.fields(getattr(theirs, ours.__name__))}
        assert {field.name for field in msgspec.structs.fields(ours)} <= known
    sent = theirs.KVEventBatch(ts=1.0, events=[theirs.BlockRemoved([b"x"], "GPU")])
    raw = msgspec.msgpack.encode(sent)
    assert decode(raw).events == [BlockRemoved([b"x"], "GPU")]


# --- times alone


def with_child() -> Session:
    child = Session("child", (Round(9, 1),), prefix_group="g", prefix_tokens=4)
    call = ToolCall("agent", "agent", child=child)
    return Session("s", (Round(9, 1, (call,)), Round(1, 1)), prefix_group="g", prefix_tokens=4)


def test_alone_a_session_and_its_sub_agents_go_by_other_names() -> None:
    found = apart(with_child())
    assert [s.id for s in found.walk()] == ["alone/s/s", "alone/s/child"]
    assert {s.prefix_group for s in found.walk()} == {"alone/s/g"}


def test_the_sample_is_the_same_every_time_and_in_order() -> None:
    many = [Session(f"s{n:02}", (Round(1, 1),)) for n in range(40)]
    chosen = [session.id for session in sample(many, 5)]
    assert chosen == [session.id for session in sample(many, 5)] == sorted(chosen)
    assert len(set(chosen)) == 5
    assert len(sample(many[:3], 5)) == 3


def test_the_rest_is_simulated_and_scaled_as_the_sample_was() -> None:
    found = with_rest({"a": 3.0, "b": 8.0}, {"a": 2.0, "b": 4.0, "c": 10.0})
    assert found.seconds == {"a": 3.0, "b": 8.0, "c": 17.5}
    assert found.how["scale"] == 1.75
    assert "rest" not in with_rest({"a": 3.0}, None).how


# --- what is asked for


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "127.0.0.1:8000"}, "http://"),
        ({"speed": 0.0}, "--speed"),
        ({"timeout": float("inf")}, "--timeout"),
        ({"warm_up": -1.0}, "--warm-up"),
        ({"tools_as": "jump"}, "sleep, cpu or both"),
        ({"prompts": "words"}, "ids, text"),
        ({"prompts": "text:"}, "ids, text"),
        ({"endpoint": "talk"}, "completions or chat"),
        ({"endpoint": "chat"}, "no token ids: give --prompts text"),
        ({"max_send_lag": -0.1}, "--max-send-lag"),
        ({"isolated": "measure:0"}, "measure:5"),
        ({"isolated": "guess"}, "measure:5"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LiveOptions(**{"url": "http://x", **options})  # type: ignore[arg-type]


def test_a_run_folder_tells_the_options_and_not_where_the_server_was() -> None:
    kept = option_facts(LiveOptions(url="http://x", kv_events="tcp://y", warm_up=2.0), "url")
    assert list(kept) == [
        *("served_model", "endpoint", "prompts", "tools_as", "speed", "warm_up_s", "cool_down_s"),
        *("timeout_s", "isolated", "kv_events", "lag_bound_s", "share", "max_failed"),
    ]
    assert (kept["warm_up_s"], kept["kv_events"]) == (2.0, True)


def test_a_gateway_of_other_parameters_or_speed_is_refused() -> None:
    choice = choose("mars")
    same = json.loads(json.dumps(choice.params))  # as a gateway answers: tuples are lists
    there = {"backend": "mars", "parameters": same, "speed": 1.0}
    check_backend(choice, Server("u", "m", gateway=there), 1.0)
    name = next(iter(same))
    other = {**there, "parameters": {**same, name: "other"}}
    with pytest.raises(UsageError, match=rf"other parameters \({name}\)"):
        check_backend(choice, Server("u", "m", gateway=other), 1.0)
    with pytest.raises(UsageError, match="speed 1, this run at 20"):
        check_backend(choice, Server("u", "m", gateway=there), 20.0)
