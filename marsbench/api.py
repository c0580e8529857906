"""marsbench from Python: what the command line does, with its options as keywords.

    import marsbench

    run = marsbench.run("mars", workload="ilr-1", load=1.15)     # marsbench run --backend mars …
    run.summary["goodput"]["3"]["share"]
    run.rounds, run.sessions                                     # pandas frames

    marsbench.sweep("sweep.toml"), marsbench.load("results/RUN")
    marsbench.compare([run, other], baseline="fcfs")

A mistake raises `marsbench.errors.UsageError` with the sentence that the command line prints.
Importing this loads nothing heavy; docs/python.md has an example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, wraps
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from marsbench.errors import UsageError, unknown_name
from marsbench.extras import saying_what_is_missing
from marsbench.run_options import RunOptions, request_of, several

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import TypeAdapter

    from marsbench.judge.compare import Comparison
    from marsbench.judge.sweep.run import Report
    from marsbench.runs import RunConfig, RunFolder, RunSummary

Keywords = ParamSpec("Keywords")
Played = Callable[[RunOptions, Collection[str]], "Run"]

UNION_TAGS = ("dict[str,any]", "float", "str")
"""Where an option is of several types, pydantic's names for them; they are no fields."""


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


def play(options: RunOptions, explicit: Collection[str], *, show_progress: bool = False) -> Run:
    """A run of these options, played into its folder.

    explicit: names of the options that were given, as against left at their defaults; run.json
    tells them, and one that is not for the engine is refused.
    Raises UsageError for what cannot be asked for, RunFailedError when the run cannot go on.
    """
    from marsbench.engines import run as engine_run
    from marsbench.runs import RunFolder
    from marsbench.trees.asked import import_asked

    request = replace(request_of(options, explicit), show_progress=show_progress)
    import_asked(request.vllm)
    path, _ = engine_run(request)
    return Run(RunFolder.open(path))


def _keywords_of(
    options: Callable[Keywords, RunOptions],
) -> Callable[[Played], Callable[Keywords, Run]]:
    """Of a function of options one of the keywords that they are made of."""

    def decorated(function: Played) -> Callable[Keywords, Run]:
        @wraps(function)
        @saying_what_is_missing()
        def called(*args: Keywords.args, **kwargs: Keywords.kwargs) -> Run:
            options_by_name = {**signature(options).bind_partial(*args).arguments, **kwargs}
            explicit = {n: value for n, value in options_by_name.items() if value is not None}
            return function(_checked(explicit), explicit)

        called.__signature__ = signature(options)  # type: ignore[attr-defined]
        return called

    return decorated


@_keywords_of(RunOptions)
def run(options: RunOptions, explicit: Collection[str]) -> Run:
    """Play sessions through a backend, as `marsbench run` does, and read what came out.

    The keywords are the command's options (`marsbench run --help`). A run that is not valid is
    returned like any other: its summary says why.
    Raises UsageError for what cannot be asked for, RunFailedError when the run cannot go on.
    """
    return play(options, explicit)


@saying_what_is_missing()
def sweep(
    file: str | Path,
    *,
    output: str | Path | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    vllm: str | None = None,
) -> Report:
    """Play what is still to be played of a sweep, as `marsbench sweep` does.

    Its processes import the script that calls this: keep the call below
    `if __name__ == "__main__":`. Returns the folder, how many cells there are and were played, and
    the failures, each with its sentence.
    """
    from marsbench.judge.sweep.cluster import Cluster
    from marsbench.judge.sweep.run import local
    from marsbench.judge.sweep.run import sweep as play
    from marsbench.trees.asked import import_asked

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {jobs}; leave it out for one a core.")
    if vllm is not None and ray is not None:
        raise UsageError(
            "--vllm is kept on this machine, and --ray plays on others; leave one of them out, or "
            "install that vLLM where the cluster runs."
        )
    import_asked(vllm)
    to = None if output is None else Path(output)
    return play(str(file), to, jobs, local if ray is None else Cluster(ray))


def load(path: str | Path) -> Run:
    """A run that was played before. Raises UsageError where there is none."""
    from marsbench.runs import RunFolder

    return Run(RunFolder.open(Path(path)))


def compare(
    runs: Sequence[Run | str | Path],
    *,
    baseline: str | None = None,
    alpha: float | Sequence[float] | None = None,
    across: Collection[str] = (),
    confidence: float = 0.95,
    why: bool | None = None,
) -> Comparison:
    """Runs, sweeps and folders of runs held against each other, as `marsbench compare` does.

    `marsbench.judge.compare.frame` makes a pandas frame of any of its rows. Raises UsageError for
    what is not alike.
    """
    from marsbench.judge.compare import compare as assembled

    return assembled(
        [one.path if isinstance(one, Run) else Path(one) for one in runs],
        baseline=baseline,
        alphas=None if alpha is None else several(alpha),
        across=across,
        confidence=confidence,
        why=why,
    )


@cache  # building it takes milliseconds
def _reader() -> TypeAdapter[RunOptions]:
    from pydantic import TypeAdapter

    return TypeAdapter(RunOptions)


def _checked(options: Mapping[str, object]) -> RunOptions:
    """Of the types that they must have. Raises UsageError for a wrong one."""
    from pydantic import ValidationError

    from marsbench.problems import first_problem

    names = [field.name for field in fields(RunOptions)]
    for name in options:
        if name not in names:
            raise unknown_name("option", name, names)
    try:
        return _reader().validate_python(options)
    except ValidationError as error:
        raise UsageError(
            f"{first_problem(error, UNION_TAGS)}; `marsbench run --help` says more."
        ) from error
