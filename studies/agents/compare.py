"""The comparison with real agents: every backend at every rate, on an emulated GPU.

    python -m studies.agents.compare -o results/openhands

Each arm has a server, a gateway and a replay of its own, so nothing is warm from another. An arm
that has a complete run already is not run again.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marsbench.core.backends import choose
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.knobs import Knobs
from marsbench.engines import run
from marsbench.errors import MarsbenchError
from marsbench.hardware.profile import load_hardware
from marsbench.runs.folder import SUMMARY
from marsbench.runs.request import RunRequest
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import serving
from marsbench.wall.agents.options import OpenHandsOptions
from studies.agents.children import serving_verb

GPU, MODEL = "h200", "qwen3-coder-30b"


@dataclass(frozen=True, slots=True)
class Arm:
    """One backend at one rate (sessions per second), and where its run goes."""

    backend: str
    rate: float
    folder: Path

    @property
    def is_complete(self) -> bool:
        """Whether its run went to its end."""
        return (self.folder / SUMMARY).is_file()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing; one run folder an arm."""
    # A shell lets what it starts in the background ignore Ctrl-C; and to be told to end is to end
    # the servers first.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.default_int_handler)
    given = _options().parse_args(arguments)
    arms = [
        Arm(backend, rate, given.output / f"rate-{rate:g}_{backend}")
        for rate in given.rates
        for backend in given.backends
    ]
    try:
        for arm in arms:
            if not arm.is_complete:
                shutil.rmtree(arm.folder, ignore_errors=True)  # of a run that was stopped
                _run(arm, given)
            sys.stdout.write(f"{arm.folder}\n")
    except MarsbenchError as error:
        sys.stderr.write(f"marsbench: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("marsbench: stopped; arms that went to their end are kept.\n")
        return 130
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--backends", nargs="+", default=["fcfs", "mars"], metavar="NAME")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.11, 0.15], metavar="R")
    parser.add_argument("--sessions", type=int, default=36, metavar="N")
    parser.add_argument("--context-tokens", type=int, default=60_000, metavar="N")
    parser.add_argument("--kv-blocks", type=int, default=None, metavar="N")
    parser.add_argument("--workers", type=int, default=36, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    return parser


def _run(arm: Arm, given: argparse.Namespace) -> None:
    choice = choose(arm.backend)
    settings = EngineSettings(kv_blocks=given.kv_blocks)
    asked = ServeRequest(choice, emulate=f"{GPU}:{MODEL}", settings=settings)
    with (
        serving(asked) as server,
        serving_verb("gateway", "--backend", arm.backend, "--upstream", server.url) as gateway,
        serving_verb("replay", "serve", "--upstream", gateway) as replay,
    ):
        options = OpenHandsOptions(
            url=replay,
            context_tokens=given.context_tokens,
            workers=given.workers,
            kv_events=server.kv_events,
        )
        run(
            RunRequest(
                choice=choice,
                engine="openhands",
                knobs=Knobs(sessions=given.sessions, rate=arm.rate, seed=given.seed),
                hardware=load_hardware(MODEL, GPU),
                settings=settings,
                output=arm.folder,
                own=options,
            )
        )


if __name__ == "__main__":
    sys.exit(main())
