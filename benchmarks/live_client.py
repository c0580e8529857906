"""What the live client costs, and whether it keeps its times, with `vllm bench serve` beside it.

    python -m benchmarks.live_client [--realtime]

A trivial server on one core streams 40 tokens a request, 8 a second; a client on another core has
500 such streams at a time. Each client is a process of its own that is run twice, with few and
with many requests, so that what a start costs is taken away: CPU a request is the slope. On a busy
machine --realtime (root) gives server and clients the real-time class, as `chrt -f 1`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from marsbench.clock import monotonic
from marsbench.core.metrics.percentiles import describe
from marsbench.core.session import Round, Session
from marsbench.core.workload.files import Workload, write_workload

STREAMS, TOKENS, EVERY_S, PROMPT = 500, 40, 0.125, 64
FEW, MANY = 1, 6  # requests of each stream
LAG_BOUND_MS, CPU_BOUND_MS = 20.0, 3.0


class Cost(NamedTuple):
    client: str
    requests: int
    cpu_ms: float
    lag_p50_ms: float | None
    lag_p99_ms: float | None


# --- the server


class Streaming(asyncio.Protocol):
    """Answers /v1/models, and any post with a stream. Knows as much of HTTP as both clients use."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        if len(rest) < length:
            return
        self._buffer = b""
        if head.startswith(b"POST"):
            self._transport.write(HEAD)
            asyncio.get_running_loop().call_later(EVERY_S, self._token, 1)
        else:
            status = b"200 OK" if b"/v1/models" in head else b"404 Not Found"
            self._transport.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, len(MODELS), MODELS)
            )

    def _token(self, number: int) -> None:
        self._transport.write(TOKEN)
        if number < TOKENS:
            asyncio.get_running_loop().call_later(EVERY_S, self._token, number + 1)
        else:
            self._transport.write(END)


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def event(record: dict[str, object]) -> bytes:
    return chunk(b"data: " + json.dumps(record, separators=(",", ":")).encode() + b"\n\n")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
MODELS = json.dumps({"data": [{"id": "tiny", "object": "model", "owned_by": "vllm"}]}).encode()
_ABOUT = {"id": "cmpl-0", "object": "text_completion", "created": 1_750_000_000, "model": "tiny"}
_CHOICE = {"index": 0, "text": " a", "logprobs": None, "finish_reason": None, "token_ids": [100]}
TOKEN = event({**_ABOUT, "choices": [_CHOICE]})
_USAGE = {"completion_tokens": TOKENS}
END = event({**_ABOUT, "choices": [], "usage": _USAGE}) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Streaming, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def serving(core: int) -> Iterator[str]:
    """The server on a core of its own."""
    process = subprocess.Popen(
        pinned(core, sys.executable, "-m", "benchmarks.live_client", "--serve"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


# --- the clients


def pinned(core: int, *command: str) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def timer_lag_ms() -> float:
    """P99 of how late a bare timer of this machine fires: what no client can be better than."""

    async def measure() -> list[float]:
        late = []
        for _ in range(1000):
            due = monotonic() + 0.002
            await asyncio.sleep(0.002)
            late.append(monotonic() - due)
        return late

    return 1000 * (describe(asyncio.run(measure()))["p99"] or 0.0)


def marsbench(core: int, url: str, each: int, folder: Path) -> tuple[float, dict[str, float]]:
    """CPU seconds of a run, and its send lag (seconds). Sessions come 100 a second and stay."""
    rounds = tuple(Round(PROMPT if n == 0 else 1, TOKENS) for n in range(each))
    ramp = TOKENS * EVERY_S / STREAMS
    sessions = tuple(Session(f"s{n}", rounds, arrival_s=n * ramp) for n in range(STREAMS))
    file, out = folder / f"w{each}.jsonl", folder / f"run{each}"
    write_workload(Workload("streams", sessions), file)
    # The server's owner is "vllm", so the whole body of a vLLM request is sent.
    cpu_s = cpu_of(
        pinned(core, sys.executable, "-m", "marsbench", "run", "--engine", "live"),
        *("--backend", "fcfs", "--url", url, "--workload", str(file)),
        *("--isolated", "none", "-o", str(out), "--json"),
    )
    lag: dict[str, float] = json.loads((out / "client.json").read_text())["send_lag_s"]
    return cpu_s, lag


def vllm_bench(core: int, url: str, each: int, tokenizer: Path) -> float:
    """CPU seconds of `vllm bench serve` with the same requests at the same rate."""
    vllm = Path(sys.executable).parent / "vllm"
    return cpu_of(
        pinned(core, str(vllm), "bench", "serve", "--backend", "openai"),
        *("--base-url", url, "--endpoint", "/v1/completions", "--model", "tiny"),
        *("--tokenizer", str(tokenizer), "--dataset-name", "random", "--ignore-eos"),
        *("--random-input-len", str(PROMPT), "--random-output-len", str(TOKENS)),
        *("--num-prompts", str(each * STREAMS), "--disable-tqdm", "--ready-check-timeout-sec", "0"),
        *("--request-rate", str(STREAMS / (TOKENS * EVERY_S)), "--burstiness", "1000"),
    )


def cpu_of(command: Sequence[str], *more: str) -> float:
    """User and system seconds of a command and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, *more], capture_output=True, text=True, check=False, env={**os.environ, **QUIET}
    )
    if done.returncode not in (0, 3):  # 3: a run that was late is a result, not an error
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


QUIET = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_TARGET_DEVICE": "cpu",
}


def make_tokenizer(folder: Path) -> Path:
    """A tokenizer of one word a number, as Hugging Face's libraries read it."""
    words = {f"w{n}": n for n in range(1000)} | {"[UNK]": 1000}
    model = {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "truncation": None,
        "padding": None,
        "model": model,
    }
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder


def slope(few: float, many: float) -> float:
    """Milliseconds of CPU a request."""
    return 1000 * (many - few) / (STREAMS * (MANY - FEW))


def measure() -> Iterator[Cost]:
    server_core, client_core = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as name, serving(server_core) as url:
        folder = Path(name)
        few, _ = marsbench(client_core, url, FEW, folder)
        many, lag = marsbench(client_core, url, MANY, folder)
        lags = lag["p50"] * 1000, lag["p99"] * 1000
        yield Cost("marsbench run --engine live", MANY * STREAMS, slope(few, many), *lags)
        tokenizer = make_tokenizer(folder / "tokenizer")
        few = vllm_bench(client_core, url, FEW, tokenizer)
        many = vllm_bench(client_core, url, MANY, tokenizer)
        yield Cost("vllm bench serve", MANY * STREAMS, slope(few, many), None, None)


def report() -> None:
    """A Markdown table; says so when a bound is broken."""
    rate = STREAMS / (TOKENS * EVERY_S)
    print(f"{STREAMS} streams of {TOKENS} tokens at a time, {rate:g} requests a second.\n")
    print(f"A bare timer is late by {timer_lag_ms():.1f} ms (P99) on these cores.\n")
    print("| client | requests | CPU ms a request | send lag P50 ms | P99 ms |")
    print("|---|--:|--:|--:|--:|")
    for cost in measure():
        lags = [f"{lag:.1f}" if lag is not None else "–" for lag in cost[3:]]
        print(f"| `{cost.client}` | {cost.requests:,} | {cost.cpu_ms:.2f} | {' | '.join(lags)} |")
        if cost.lag_p99_ms is not None and cost.lag_p99_ms > LAG_BOUND_MS:
            print(f"\n**Late**: the bound is {LAG_BOUND_MS:g} ms.")
        if cost.lag_p99_ms is not None and cost.cpu_ms > CPU_BOUND_MS:
            print(f"\n**Dear**: the bound is {CPU_BOUND_MS:g} ms.")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="be the server")
    parser.add_argument("--realtime", action="store_true", help="run in the real-time class")
    args = parser.parse_args(arguments)
    if args.realtime:  # children inherit it
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    if args.serve:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    else:
        report()


if __name__ == "__main__":
    main()
