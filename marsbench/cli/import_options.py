"""The options of an import, and what one is to read; nothing is read yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

from marsbench.core.workload.knobs import Knobs
from marsbench.option import Option

if TYPE_CHECKING:
    from marsbench.core.session import Session
    from marsbench.formats.fallback import Fallback
    from marsbench.formats.gathering import Wanted
    from marsbench.formats.reading import Contents

T = TypeVar("T")

Out = Annotated[Path, Option(None, "The workload file to write.", names=("-o", "--output"))]
Rate = Annotated[float | None, Option(None, "Sessions per second.")]
Load = Annotated[
    float | None, Option(None, "Offered load: rate x mean GPU seconds of a session alone.")
]
ArrivalKind = Annotated[
    str | None, Option(None, "poisson, fixed, gamma:CV, burst:SIZE or closed:LANES.")
]
Seed = Annotated[int | None, Option(None, "Another seed gives other sessions.")]

# Most recordings have no start times to go by. One session in 100 s is one user's pace times a few.
IMPORT_RATE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """The options of all imports; a format takes those of `Format.options`."""

    output: Out
    workload: Annotated[
        Path | None, Option(None, "Give this workload's sessions the trace's arrivals.")
    ] = None
    split: Annotated[str, Option(None, "Of a data set of several.", shows_default=True)] = "train"
    sessions: Annotated[int | None, Option(None, "The first N rows alone.", least=1)] = None
    tokenizer: Annotated[
        str | None, Option("NAME|PATH", "Counts the tokens that were not recorded.")
    ] = None
    tool_time: Annotated[float | None, Option("S", "Seconds of a tool call that nobody timed.")] = (
        None
    )
    rate: Rate = None
    load: Load = None
    arrivals: ArrivalKind = None
    seed: Seed = None
    max_tokens: Annotated[
        int | None,
        Option(None, "Leave out sessions that grow longer, such as a model cannot take."),
    ] = None
    limit: Annotated[
        int | None, Option("N", "The first N sessions; nothing behind them is read.", least=1)
    ] = None
    sample: Annotated[int | None, Option("N", "N of all sessions, drawn by the seed.", least=1)] = (
        None
    )
    strict: Annotated[
        bool, Option(None, "Refuse a recording with anything amiss.", names=("--strict",))
    ] = False
    private: Annotated[
        bool, Option(None, "Write no name, path or text (default).", names=("--private",))
    ] = False
    keep_names: Annotated[
        bool, Option(None, "Keep the names of sessions and tools.", names=("--keep-names",))
    ] = False

    @property
    def knobs(self) -> Knobs:
        """Raises UsageError for what cannot be."""
        return Knobs(rate=self.rate, load=self.load, arrivals=self.arrivals, seed=self.seed)

    def check(self) -> None:
        """Refuse what cannot be, before the work and not after. Raises UsageError."""
        from marsbench.core.workload.files import require_writable
        from marsbench.errors import UsageError
        from marsbench.formats.arrivals import schedule_of

        require_writable(self.output)
        schedule_of(self.knobs, IMPORT_RATE)
        if self.private and self.keep_names:
            raise UsageError("--private writes no names and --keep-names does; give one of them.")
        if self.limit is not None and self.sample is not None:
            raise UsageError("--limit takes the first and --sample some of all; give one of them.")

    @property
    def fallback(self) -> Fallback:
        """What stands in where a recording is silent. Raises UsageError for what cannot be."""
        from marsbench.formats.fallback import fallback_of

        return fallback_of(self.tokenizer, self.tool_time, self.limit)

    @property
    def wanted(self) -> Wanted:
        """How many of the sessions, and which."""
        from marsbench.formats.gathering import Wanted

        return Wanted(self.limit, self.sample, 1 if self.seed is None else self.seed)


class Imported(NamedTuple):
    """What is to be read, and what the workload says of where it comes from.

    kind: the workload's name. recorded: whether sessions arrive as they did, unless told otherwise.
    own: the sessions are those of a workload of ours, which keep their names.
    """

    kind: str
    contents: Iterable[Contents]
    recorded: bool = False
    meta: Mapping[str, object] = MappingProxyType({})
    label: str = "reading sessions"
    own: bool = False


STATED = ("tokenizer", "tool_time")
"""The options of recordings that may be silent about lengths and times."""


def mean_gpu_s(sessions: Sequence[Session]) -> float:
    """Mean seconds that these sessions keep the default engine busy, each alone on it."""
    from marsbench.core.isolated import cache_folder, isolated
    from marsbench.core.settings import EngineSettings
    from marsbench.hardware.profile import load_hardware

    return isolated(sessions, load_hardware(), EngineSettings(), cache=cache_folder()).mean_gpu_s


def progress(label: str) -> Callable[[Iterable[T]], Iterable[T]]:
    """A progress bar on stderr, where a person sees it."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    quiet = not console.is_terminal

    def shown(items: Iterable[T]) -> Iterable[T]:
        return track(items, label, console=console, transient=True, disable=quiet)

    return shown
