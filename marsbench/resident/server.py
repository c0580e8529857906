"""The resident process: imports what a simulated run needs, then forks one for whoever asks.

    python -m marsbench.resident.server SOCKET

It ends when nobody has asked for some minutes, and when its socket is gone, but not while a run is
under way. Changed code asks at another socket. It has one thread, so that a fork of it is whole.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from marsbench.resident.wire import STANDARD, receive, send

IDLE = "MARSBENCH_RESIDENT_MINUTES"
IDLE_MINUTES = 15.0
LOOK_S = 1.0


class ForkServer:
    """Listens; a run under way is a child and the connection of the command that waits for it."""

    def __init__(self, path: Path, idle_s: float) -> None:
        self._path = path
        self._idle_s = idle_s
        self._silent_s = 0.0
        self._runs: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def serve(self) -> None:
        """Until nobody has asked for a while."""
        mask = os.umask(0o177)
        self._listener.bind(str(self._path))
        os.umask(mask)
        self._listener.listen()
        while self._runs or (self._silent_s < self._idle_s and self._path.exists()):
            self._turn()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _turn(self) -> None:
        waiting = {connection: pid for pid, connection in self._runs.items()}
        ready, _, _ = select.select([self._listener, *waiting], [], [], LOOK_S)
        self._silent_s = 0.0 if ready or self._runs else self._silent_s + LOOK_S
        for one in ready:
            if one is self._listener:
                self._begin(self._listener.accept()[0])
            else:  # the command is gone, and nobody waits for its run
                _kill(waiting[one], signal.SIGTERM)
        self._reap()

    def _begin(self, connection: socket.socket) -> None:
        try:
            message, files = receive(connection, len(STANDARD))
        except (OSError, EOFError, ValueError):
            connection.close()
            return
        pid = os.fork()
        if pid == 0:
            self._listener.close()
            for other in (connection, *self._runs.values()):
                other.close()
            _play(message, files)
        for file in files:
            os.close(file)
        with contextlib.suppress(OSError):
            send(connection, {"pid": pid})
        self._runs[pid] = connection

    def _reap(self) -> None:
        for pid, connection in list(self._runs.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with connection, contextlib.suppress(OSError):
                    send(connection, {"code": os.waitstatus_to_exitcode(status)})
                del self._runs[pid]


def _play(message: dict[str, Any], files: list[int]) -> NoReturn:
    """In the fork: be the command that asked, and end as it would."""
    code = 1
    try:
        os.setsid()
        # Whoever started the resident process may have ignored them, as a shell does in background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for file, place in zip(files, STANDARD, strict=True):
            os.dup2(file, place)
            os.close(file)
        os.umask(message["umask"])
        os.chdir(message["folder"])
        os.environ.clear()
        os.environ.update(message["environment"])
        code = _command(message["arguments"])
    except Exception:
        traceback.print_exc()  # as Python would, were this the process that was started
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def _command(arguments: list[str]) -> int:
    from marsbench.cli import here

    for stream, place, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        setattr(sys, stream, open(place, mode, closefd=False))  # noqa: SIM115
    sys.argv = ["marsbench", *arguments]
    try:
        here()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def import_all() -> None:
    """What a run imports, heaviest first; what it makes for itself it makes after the fork."""
    import marsbench.cli.main
    import marsbench.core.sim.simulation
    import marsbench.runs.simulated
    import marsbench.show.run  # noqa: F401


def main() -> None:
    path = Path(sys.argv[1])
    import_all()
    threads = threading.enumerate()
    if len(threads) > 1:
        sys.exit(f"cannot fork with {len(threads)} threads")
    gc.collect()
    gc.freeze()  # so that the garbage collector of a fork does not copy what is shared
    ForkServer(path, 60 * float(os.environ.get(IDLE) or IDLE_MINUTES)).serve()


if __name__ == "__main__":
    main()
