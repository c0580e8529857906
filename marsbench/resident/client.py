"""A command, played by a fork of the resident process, which is started where there is none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from marsbench.errors import MarsbenchError
from marsbench.resident.place import socket_path
from marsbench.resident.wire import STANDARD, receive, send

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_S = 0.05
SAY_AFTER_S = 2.0
LOST = (
    "the resident process ended before its run did; a run that had begun keeps its folder, and "
    "--no-resident needs no such process."
)


def played(arguments: list[str]) -> int | None:
    """The exit code of the command, played elsewhere; None when it has to be played here."""
    try:
        connection = _connect(socket_path())
        if connection is None:
            return None
        pid = _begin(connection, arguments)
    except (OSError, EOFError, ValueError):
        return None  # nothing has begun
    with connection, _forwarding(pid):
        return _code(connection)


def _begin(connection: socket.socket, arguments: list[str]) -> int:
    """Ask for the command to be played; the process that plays it."""
    message = {
        "arguments": arguments,
        "folder": str(Path.cwd()),
        "environment": dict(os.environ),
        "umask": _umask(),
    }
    send(connection, message, STANDARD)
    return int(receive(connection)[0]["pid"])


def _code(connection: socket.socket) -> int:
    """How the command ended. It is not played again where that is never told."""
    try:
        code = int(receive(connection)[0]["code"])
    except (OSError, EOFError, ValueError):
        sys.stderr.write(f"marsbench: {LOST}\n")
        return MarsbenchError.exit_code
    return code if code >= 0 else 128 - code  # ended by a signal, as a shell says it


def _connect(path: Path) -> socket.socket | None:
    """To the process that listens there; it is started, and waited for, where none does."""
    try:
        return _to(path)
    except OSError:
        pass
    with path.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two commands at once start one process
        with contextlib.suppress(OSError):
            return _to(path)
        path.unlink(missing_ok=True)
        return _wait_for(path, _start(path))


def _to(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _start(path: Path) -> subprocess.Popen[bytes]:
    """In a session of its own: it outlives the command, and a Ctrl-C there is not for it."""
    command = [sys.executable, "-m", "marsbench.resident.server", str(path)]
    return subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> socket.socket | None:
    """As long as it lives it is importing; None when it ended without listening."""
    waited_s, said = 0.0, False
    while process.poll() is None:
        with contextlib.suppress(OSError):
            return _to(path)
        time.sleep(LOOK_S)
        waited_s += LOOK_S
        if waited_s > SAY_AFTER_S and not said:
            said = True
            sys.stderr.write("starting vLLM's scheduler (once: it stays for the next run) …\n")
    return None


@contextlib.contextmanager
def _forwarding(pid: int) -> Iterator[None]:
    """A signal for this process is one for the run: it says what it says, and we wait for it."""

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
