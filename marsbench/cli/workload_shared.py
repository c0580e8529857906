"""Options and progress that all commands of `marsbench workload` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from marsbench.core.session import Session

Out = Annotated[Path, typer.Option("-o", "--output", help="The workload file to write.")]
Rate = Annotated[float | None, typer.Option(help="Sessions per second.")]
Load = Annotated[
    float | None, typer.Option(help="Offered load: rate x mean GPU seconds of a session alone.")
]
ArrivalKind = Annotated[
    str | None, typer.Option(help="poisson, fixed, gamma:CV, burst:SIZE or closed:LANES.")
]
Seed = Annotated[int | None, typer.Option(help="Another seed gives other sessions.")]

T = TypeVar("T")


def mean_gpu_s(sessions: Sequence[Session]) -> float:
    """Mean seconds that these sessions keep the default engine busy, each alone on it."""
    from marsbench.core.isolated import mean_gpu_s

    return mean_gpu_s(sessions)


def progress(label: str) -> Callable[[Sequence[T]], Iterable[T]]:
    """A progress bar on stderr, where a person sees it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not console.is_terminal

    def shown(items: Sequence[T]) -> Iterable[T]:
        return track(items, label, console=console, transient=True, disable=quiet)

    return shown
