"""marsbench from Python: what the command line does, with its options as keywords.

    from marsbench import api

    run = api.run("mars", workload="ilr-1", load=1.15, seed=1)   # marsbench run --backend mars …
    run.summary["goodput"]["3"]["share"]
    run.rounds, run.sessions                                     # pandas frames

    api.sweep("sweep.toml"), api.load("results/RUN"), api.compare([run, other], baseline="fcfs")

A mistake raises `marsbench.errors.UsageError` with the sentence that the command line prints.
Importing this loads nothing heavy; docs/python.md has an example.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

# Pydantic reads typing's own TypedDict from Python 3.12 on; it brings this package.
from typing_extensions import TypedDict

from marsbench.errors import UsageError, unknown_name
from marsbench.extras import saying_what_is_missing

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import TypeAdapter

    from marsbench.core.runs import RunConfig, RunFolder, RunSummary
    from marsbench.judge.compare import Comparison
    from marsbench.judge.sweep.run import Report


class RunOptions(TypedDict, total=False):
    """The options of `marsbench run` without their dashes; `--help` says what each is.

    alpha: one or several. set: a backend's parameters by name.
    """

    alpha: float | Sequence[float]
    set: Mapping[str, Any]
    engine: Literal["sim", "live", "openhands"]
    output: Path | None
    workload: str | Path
    sessions: int | None
    rate: float | None
    load: float | None
    load_on: str | None
    arrivals: str | None
    seed: int | None
    tools: str | None
    prefixes: int | None
    gpu: str
    model: str | None
    precision: str | None
    kv_dtype: str | None
    kv_blocks: int | None
    block_size: int | None
    tool_cores: int
    engine_profile: str
    hardware: Path | None
    step_budget: int | None
    max_seqs: int | None
    reserve_full_prompt: Literal["on", "off"] | None
    memory_fraction: float | None
    tool_workers: int | None
    step_time_scale: float
    attention_time_scale: float
    check: bool
    url: str | None
    served_model: str | None
    endpoint: str | None
    prompts: str | None
    tools_as: str | None
    speed: float | None
    warm_up: float | None
    cool_down: float | None
    timeout: float | None
    isolated: str | None
    kv_events: str | None
    max_send_lag: float | None
    tasks: str | None
    context_tokens: int | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder. Raises UsageError where a file of it is not there or not the run's own."""

    folder: RunFolder

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder.path

    @property
    def config(self) -> RunConfig:
        """All that was asked for, resolved."""
        return self.folder.config

    @property
    def summary(self) -> RunSummary:
        """The figures of summary.json, as docs/metrics.md defines them; `valid` says if they count.

        Of a run that was cut short, those until then.
        """
        return self.folder.summary()

    @property
    def rounds(self) -> pd.DataFrame:
        """One row a round: the fields of `marsbench.core.metrics.rounds.RoundRecord`."""
        return self.folder.table("rounds")

    @property
    def sessions(self) -> pd.DataFrame:
        """One row a session: the fields of `marsbench.core.metrics.sessions.SessionRecord`."""
        return self.folder.table("sessions")


@saying_what_is_missing()
def run(backend: str, **options: Unpack[RunOptions]) -> Run:
    """Play sessions through a backend, as `marsbench run` does, and read what came out.

    A run that is not valid is returned like any other: its summary says why.
    Raises UsageError for what cannot be asked for, RunFailedError when the run cannot go on.
    """
    from marsbench.asked import request_of
    from marsbench.cli.main import command
    from marsbench.cli.typed import words
    from marsbench.core.runs import RunFolder
    from marsbench.engines import run as play

    given = {"backend": backend, **_checked(options)}
    asked = words(command().commands["run"], given)
    path, _ = play(replace(request_of(_defaults() | given), asked=asked, show_progress=False))
    return Run(RunFolder.open(path))


@saying_what_is_missing()
def sweep(
    file: str | Path,
    *,
    output: str | Path | None = None,
    jobs: int | None = None,
    ray: str | None = None,
) -> Report:
    """Play what is still to be played of a sweep, as `marsbench sweep` does.

    Its processes import the script that calls this: keep the call below
    `if __name__ == "__main__":`. Returns the folder, how many cells there are and were played, and
    the failures, each with its sentence.
    """
    from marsbench.judge.sweep.cluster import Cluster
    from marsbench.judge.sweep.run import local
    from marsbench.judge.sweep.run import sweep as play

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {jobs}; leave it out for one a core.")
    to = None if output is None else Path(output)
    return play(str(file), to, jobs, local if ray is None else Cluster(ray))


def load(path: str | Path) -> Run:
    """A run that was played before. Raises UsageError where there is none."""
    from marsbench.core.runs import RunFolder

    return Run(RunFolder.open(Path(path)))


def compare(
    runs: Sequence[Run | str | Path],
    *,
    baseline: str | None = None,
    alpha: float | Sequence[float] | None = None,
    across: Collection[str] = (),
    confidence: float = 0.95,
) -> Comparison:
    """Runs, sweeps and folders of runs held against each other, as `marsbench compare` does.

    `marsbench.judge.compare.frame` makes a pandas frame of any of its rows. Raises UsageError for
    what is not alike.
    """
    from marsbench.judge.compare import compare as assembled

    return assembled(
        [one.path if isinstance(one, Run) else Path(one) for one in runs],
        baseline=baseline,
        alphas=None if alpha is None else _several(alpha),
        across=across,
        confidence=confidence,
    )


def _defaults() -> dict[str, Any]:
    """What the command line takes where nothing is given."""
    from marsbench.cli import main as cli

    return {name: option.default for name, option in signature(cli.run).parameters.items()}


@cache  # building it takes milliseconds
def _reader() -> TypeAdapter[RunOptions]:
    from pydantic import TypeAdapter

    return TypeAdapter(RunOptions)


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options by the parameters of `cli.main.run`. Raises UsageError for a wrong one."""
    from pydantic import ValidationError

    from marsbench.problems import first_problem

    for name in options:
        if name not in RunOptions.__annotations__:
            raise unknown_name("option", name, RunOptions.__annotations__)
    try:
        read: dict[str, Any] = dict(_reader().validate_python(options))
    except ValidationError as error:
        raise UsageError(f"{first_problem(error)}; `marsbench run --help` says more.") from error
    if "alpha" in read:
        read["alpha"] = _several(read["alpha"])
    read["set_"] = [f"{name}={value}" for name, value in read.pop("set", {}).items()]
    return {**read, "workload": str(read["workload"])} if "workload" in read else read


def _several(alpha: float | Sequence[float]) -> list[float]:
    return [alpha] if isinstance(alpha, int | float) else list(alpha)
