"""A vLLM server as a child process: started, waited for, and ended with all that it started."""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.errors import RunFailedError, UsageError
from marsbench.extras import require
from marsbench.http_server import url_of
from marsbench.patience import Patience, end_group
from marsbench.serve.log import reason, tail
from marsbench.serve.model_folder import write_model
from marsbench.serve.plan import ServeRequest, command, environment, max_model_len
from marsbench.serve.plugin import write_plugin
from marsbench.text.progress import waiting_for

if TYPE_CHECKING:
    import httpx

SILENCE_S = 600.0
GRACE_S = 10.0
POLL_S = 0.2
ANSWER_S = 5.0


@dataclass
class VllmServer:
    """A server that answers.

    url: without the /v1 that OpenAI clients add.
    kv_events: the ZMQ endpoint to subscribe to for KV events; None where they are off.
    """

    request: ServeRequest
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    kv_events: str | None = field(default=None)

    @property
    def url(self) -> str:
        """Where it answers; a server that is bound to every address answers on loopback too."""
        host = self.request.host
        if host in ("0.0.0.0", "::", ""):  # noqa: S104 (compared, not bound)
            host = "127.0.0.1"
        return url_of(host, self.port)

    def check_alive(self) -> None:
        """Raises RunFailedError with the log's last word when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise RunFailedError(
                f"The server ended with exit code {code}: {reason(self.log)} (its log: {self.log})"
            )

    def wait(self) -> None:
        """Until it ends, which it does not do by itself: raises RunFailedError then."""
        self.process.wait()
        self.check_alive()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Ask it to end, then end it and everything in its process group.

        grace_s: of silence; an engine that writes its record has as long as that takes.
        """
        end_group(self.process, grace_s)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block, and that is no error."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def serving(
    request: ServeRequest, silence_s: float = SILENCE_S, show_progress: bool = False
) -> Iterator[VllmServer]:
    """A server that is healthy, until the block ends; then none of its processes is left.

    silence_s: how long its start may be without a line in its log and without work.
    Raises UsageError where vLLM is not installed, a class for host memory is none or the port is
    taken, RunFailedError when the server does not come up or dies. Its log is kept then, and only
    then.
    """
    if request.kernels is None:
        require("vllm")
    _check_eviction(request)
    folder = Path(tempfile.mkdtemp(prefix="marsbench-serve-"))
    failed = False
    server = _start(request, folder)
    try:
        with waiting_for(f"starting vLLM with {request.choice.name}", show_progress):
            await_health(server, silence_s)
        yield server
    except RunFailedError:
        failed = True
        raise
    finally:
        server.stop()
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)


def _check_eviction(request: ServeRequest) -> None:
    """Here, in a second: the server would say it at the end of a minute's log."""
    host_kv = request.settings.host_kv
    if host_kv is not None and host_kv.evicts_by_class:
        from marsbench.offload.worker import check_eviction

        check_eviction(host_kv)


def _start(request: ServeRequest, folder: Path) -> VllmServer:
    port = _free_port(request)
    model = str(request.model)
    if request.hardware is not None:
        model = str(folder / "model")
        write_model(folder / "model", max_model_len(request, request.hardware))
        write_plugin(folder / "plugin")
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 (vLLM, with the flags that its user typed)
            [str(request.kernels or sys.executable), *command(request, port, model)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(request, folder / "plugin"),
            start_new_session=True,  # a group of its own: Ctrl-C reaches us, and we end all of it
            preexec_fn=end_with_parent,
        )
    return VllmServer(request, process, port, log)


def end_with_parent() -> None:
    """On Linux a server outlives nobody who was killed without a chance to stop it."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _free_port(request: ServeRequest) -> int:
    family = socket.AF_INET6 if ":" in request.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((request.host, request.port))
        except OSError as error:
            raise UsageError(
                f"Nothing can listen on {request.host}:{request.port}: {error.strerror}; "
                "give another --port, or 0 for any that is free."
            ) from error
        return int(probe.getsockname()[1])


def await_health(server: VllmServer, silence_s: float) -> None:
    """Until it answers. Raises RunFailedError when it dies first, or is silent for so long."""
    import httpx

    patience = Patience(server.process.pid, silence_s, server.log)
    with httpx.Client(base_url=server.url, timeout=ANSWER_S, trust_env=False) as client:
        while not _answers(server, client):
            server.check_alive()
            if patience.is_over():
                raise RunFailedError(_silence(server, silence_s))
            time.sleep(POLL_S)


def _answers(server: VllmServer, client: httpx.Client) -> bool:
    """Whether it is healthy; where its KV events come from is known then."""
    import httpx

    with suppress(httpx.TransportError):
        if client.get("/health").is_success:
            sources = client.get("/kv_event_sources").json()
            server.kv_events = next((s["endpoint"] for s in sources.values()), None)
            return True
    return False


def _silence(server: VllmServer, silence_s: float) -> str:
    return (
        f"The server does not answer, and for {silence_s:g} s it neither wrote to its log nor "
        f"worked; --timeout gives it longer. The end of its log, {server.log}:\n{tail(server.log)}"
    )
