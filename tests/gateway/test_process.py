"""`marsbench gateway` as a process: it comes up, serves, and goes away when told."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from marsbench.cli.main import app
from marsbench.errors import UsageError
from waits import output, until

pytestmark = pytest.mark.live

HERE = "http://127.0.0.1"
LATE = ("--set", "router.kv_event_delay_s=1")


@contextmanager
def gateway(upstream: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway of its own process and its URL; what is left of it is killed."""
    command = [sys.executable, "-m", "marsbench", "gateway", "--backend", "fcfs", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--upstream", upstream, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[0]
    finally:
        process.kill()
        process.communicate()


def get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@contextmanager
def endless() -> Iterator[tuple[str, threading.Event]]:
    """A server that begins an answer and never ends it; the event is set when it has begun."""
    begun, stop = threading.Event(), threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            begun.set()
            stop.wait()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", begun
        finally:
            stop.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_it_cleanly(number: signal.Signals) -> None:
    with gateway("http://127.0.0.1:9/v1/") as (process, url):
        about = get(f"{url}/marsbench/info")
        assert about["backend"] == "fcfs"
        assert about["parameters"] == {}
        assert about["upstream"] == "http://127.0.0.1:9"
        assert url.startswith("http://127.0.0.1:")
        process.send_signal(number)
        out, err = output(process)
        assert (process.returncode, out, err) == (0, "", "")


def test_what_counts_as_load_is_an_option_and_can_be_read_off() -> None:
    options = ("--gaps", "cpu", "--waiting-tool", "ask", "--waiting-tool", "fetch")
    with gateway("http://127.0.0.1:9", *options) as (_, url):
        about = get(f"{url}/marsbench/info")
    assert (about["gaps"], about["waiting_tools"]) == ("cpu", ["ask", "fetch"])
    with gateway("http://127.0.0.1:9") as (_, url):
        about = get(f"{url}/marsbench/info")
    assert (about["gaps"], about["waiting_tools"]) == ("wait", ["user"])


def test_several_servers_are_named_with_their_router() -> None:
    options = ("--upstream", "http://127.0.0.1:10", "--router", "llm-d")
    with gateway("http://127.0.0.1:9", *options, "--set", "router.kv_weight=1") as (_, url):
        about = get(f"{url}/marsbench/info")
    assert about["router"] == "llm-d"
    assert isinstance(about["router_parameters"], dict)
    assert about["router_parameters"]["kv_weight"] == 1.0
    assert [one["url"][-3:] for one in about["upstreams"]] == ["1:9", ":10"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--upstream", f"{HERE}:10", "--router", "clairvoyant"), "choose another: aibrix, "),
        (("--upstream", f"{HERE}:10", "--router", "migrate"), "copied between replicas"),
        (("--upstream", f"{HERE}:9"), "is there twice"),
        (
            ("--upstream", f"{HERE}:10", "--router", "dynamo", *LATE),
            "for simulations",
        ),
        (("--router-record", "r"), "give a second --upstream"),
    ],
)
def test_what_cannot_stand_before_real_servers_is_one_sentence(
    options: tuple[str, ...], said: str
) -> None:
    words = ["gateway", "--backend", "fcfs", "--upstream", f"{HERE}:9", *options]
    found = CliRunner().invoke(app, words)
    assert isinstance(found.exception, UsageError)
    assert said in str(found.exception)


def test_a_second_signal_cuts_what_still_runs() -> None:
    with endless() as (upstream, begun), gateway(upstream, "--grace", "600") as (process, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
            )
            begun.wait()
            process.send_signal(signal.SIGINT)
            until(lambda: not listens(host, int(port)), process)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert output(process) == ("", "")
            assert process.returncode == 0


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "marsbench", "gateway", "--backend", "fcfs"]
        done = subprocess.run(
            [*command, "--upstream", "http://127.0.0.1:9", "--port", port],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"marsbench: Port {port} of 127.0.0.1 cannot be had")
    assert done.stderr.count("\n") == 1
