"""Write a run folder as the run goes, and read one back, whole or cut short."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from marsbench.core.events import EVENT_TYPES, Event, EventWriter, read_events
from marsbench.core.metrics.cache import EvictionCell
from marsbench.core.metrics.check import Checker
from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.core.metrics.stream import Sample, Stream
from marsbench.core.metrics.summary import Measured, Scale, measure
from marsbench.errors import MarsbenchError, RunFailedError, UsageError
from marsbench.outputs import save_text
from marsbench.problems import json_problem
from marsbench.runs.cautions import CautionNote
from marsbench.runs.config import RunConfig
from marsbench.runs.event_file import EVENTS, event_file, events_hash, open_events, pack
from marsbench.runs.failures import failures_of
from marsbench.runs.parquet import read_arrays, read_columns, read_table, write_table
from marsbench.runs.provenance import wall, wall_now
from marsbench.runs.summary import FORMAT, Decisions, RunSummary, read_back, run_summary

if TYPE_CHECKING:
    import pandas as pd

CONFIG, IDEAL, DECISIONS, MODES, SUMMARY, WALL, FILES = (
    "run.json",
    "ideal.json",
    "decisions.json",
    "modes.json",
    "summary.json",
    "wall.json",
    "files.json",
)
TABLES = {
    "rounds": RoundRecord,
    "sessions": SessionRecord,
    "evictions": EvictionCell,
    "usage": Sample,
}


class RunFolder:
    """A run on disk: `config`, `events()`, `summary()`, `table("rounds")`."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @staticmethod
    def create(path: Path, config: RunConfig) -> RunWriter:
        """A fresh folder, to be written in a `with` block.

        Raises UsageError, and overwrites nothing, when the path exists or cannot be made.
        """
        text = config.to_json()
        try:
            path.mkdir(parents=True)
            (path / CONFIG).write_text(text, encoding="utf-8")
            return RunWriter(path, config)
        except FileExistsError as error:
            raise UsageError(
                f"{path} exists already, and a run never overwrites one; "
                "give another folder with -o, or move that one away."
            ) from error
        except OSError as error:
            raise UsageError(
                f"Cannot write a run folder at {path}: {error.strerror}; "
                "give a folder that you may write with -o."
            ) from error

    @staticmethod
    def create_in(results: Path, config: RunConfig) -> RunWriter:
        """A fresh folder under `results`, named by date, code, workload and backend.

        A second run of that name gets "-2", even in the same second. Raises what `create` raises.
        """
        name = config.folder_name(wall_now().date())
        for number in count(1):
            try:
                return RunFolder.create(
                    results / (name if number == 1 else f"{name}-{number}"), config
                )
            except UsageError as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
        raise AssertionError("count() never ends")  # pragma: no cover

    @staticmethod
    def open(path: Path) -> RunFolder:
        """A run to read, whether it went to its end or was killed.

        Of a complete one the summary is enough: a reference is kept without its events.
        Raises UsageError naming what is missing when the path is no run folder.
        """
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder; give the folder of a run.")
        missing = [] if (path / CONFIG).is_file() else [CONFIG]
        if not (path / SUMMARY).is_file() and event_file(path) is None:
            missing.append(EVENTS)
        if missing:
            raise UsageError(
                f"{path} is not a run folder: it has no {' and no '.join(missing)}; "
                "give the folder that `marsbench run` printed."
            )
        text = (path / CONFIG).read_text(encoding="utf-8")
        return RunFolder(path, RunConfig.from_json(text, str(path / CONFIG)))

    @property
    def complete(self) -> bool:
        """Whether the run went to its end: the summary is written last."""
        return (self.path / SUMMARY).is_file()

    def events(self, kinds: Collection[str] = EVENT_TYPES) -> Iterator[Event]:
        """What happened, in order: all of it, or events of some kinds.

        Raises UsageError naming a line that is no event, or a run that was kept without them.
        """
        return self._read(self._source(), kinds)

    def stream(self, kinds: Collection[str] = EVENT_TYPES) -> Stream:
        """The same by type, as metrics want it. Raises as `events`."""
        source = self._source()
        with open_events(self.path) as lines:
            return Stream.read(lines, str(source), kinds)

    def _read(self, source: Path, kinds: Collection[str]) -> Iterator[Event]:
        with open_events(self.path) as lines:
            yield from read_events(lines, str(source), kinds)

    def _source(self) -> Path:
        """What its events are called in a complaint."""
        if not self.has_events:
            raise UsageError(
                f"{self.path} was kept without its events; play it again to see what happened."
            )
        return self._own(EVENTS)

    def ideal_s(self) -> Mapping[str, float] | None:
        """Seconds that each session takes alone; None when nobody measured it."""
        if not (self.path / IDEAL).is_file():
            return None
        return cast("dict[str, float]", _load(self._own(IDEAL)))

    def decisions(self) -> Decisions | None:
        """How often what decides was asked, and answered other than vLLM would have; None when
        nobody counted.
        """
        if not (self.path / DECISIONS).is_file():
            return None
        return cast("Decisions", _load(self._own(DECISIONS)))

    def modes(self) -> Mapping[str, float] | None:
        """Seconds that the controller spent in each of its modes, while sessions waited for it;
        None where it has no modes, or nobody ever waited.
        """
        if not (self.path / MODES).is_file():
            return None
        return cast("dict[str, float]", _load(self._own(MODES)))

    def measure(self, checker: Checker | None = None) -> Measured:
        """The figures and tables, computed from the events, which a checker may watch."""
        scale = Scale(
            ideal_s=self.ideal_s(),
            alphas=self.config.alphas,
            block_size=self.config.block_size,
            total_blocks=self.config.total_blocks,
            unmeasured=self.config.unmeasured,
            warm_up_s=self.config.settings.get("warm_up_s", 0.0),
            cool_down_s=self.config.settings.get("cool_down_s", 0.0),
        )
        return measure(checker.watch(self.events()) if checker else self.stream(), scale)

    def summary(self) -> RunSummary:
        """What the run found; of a run cut short, what it had found until then, marked invalid.

        Raises UsageError for a file that is not what it should be.
        """
        if not self.complete:
            return self.summary_until_now(self.measure())
        summary = _load(self.path / SUMMARY)
        if summary.get("marsbench_summary") != FORMAT:
            raise UsageError(
                f"{self.path / SUMMARY} has another format than this marsbench reads ({FORMAT}); "
                "remove it, and the run is summarised again from its events."
            )
        self._own(CONFIG)
        self._own(SUMMARY)
        return read_back(summary)

    def summary_until_now(self, measured: Measured) -> RunSummary:
        """Of a run that has not come to its end, by what was measured: it is not valid."""
        why = [self._why_stopped()]
        failures = failures_of(measured.sessions)
        return run_summary(self.config, measured.summary, self.decisions(), why, failures=failures)

    @property
    def has_events(self) -> bool:
        """Whether what happened was kept: of a reference only its figures are."""
        return event_file(self.path) is not None

    def has_table(self, name: str) -> bool:
        """Whether this table was kept."""
        return (self.path / f"{name}.parquet").is_file()

    def table(self, name: str) -> pd.DataFrame:
        """The rows of "rounds", "sessions", "evictions" or "usage", which earlier runs lack.

        Raises UsageError without a table.
        """
        rows = read_table(self.path / f"{name}.parquet")
        self._own(f"{name}.parquet")
        return rows

    def columns(self, name: str) -> Mapping[str, list[Any]]:
        """The same as lists, quickly. Raises UsageError without a table."""
        return read_columns(self._own(f"{name}.parquet"), TABLES[name])

    def arrays(self, name: str) -> Mapping[str, array[Any]]:
        """Of a table of numbers. Raises UsageError without a table."""
        return read_arrays(self._own(f"{name}.parquet"), TABLES[name])

    def _own(self, name: str) -> Path:
        """The file, which must be the one that the run wrote. Raises UsageError for another.

        Runs of an earlier marsbench say nothing of their files, nor does one that was cut short.
        """
        path = self._place(name)
        hashes = self._hashes()
        if name in hashes and path.is_file() and self._hash(name) != hashes[name]:
            raise UsageError(
                f"{path} is not the file that this run wrote ({FILES} has another hash): it was "
                "changed, or is another run's; put the right one back, or play the run again."
            )
        return path

    def _place(self, name: str) -> Path:
        packed = event_file(self.path) if name == EVENTS else None
        return packed or self.path / name

    def _hash(self, name: str) -> str:
        return events_hash(self.path) if name == EVENTS else file_hash(self.path / name)

    def _hashes(self) -> Mapping[str, object]:
        path = self.path / FILES
        return _load(path) if path.is_file() else {}

    def _why_stopped(self) -> str:
        path = self.path / WALL
        outcome = _load(path)["outcome"] if path.is_file() else "killed, or still running"
        return f"the run did not go to its end ({outcome}): these are its figures until then"


class RunWriter(RunFolder):
    """A run that is being written: `emit` events, then `finish`.

    Leaving the `with` block without `finish` keeps the folder, readable as a run cut short.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        super().__init__(path, config)
        self._started = wall_now()
        self._writer = EventWriter(path / EVENTS)

    def emit(self, event: Event) -> None:
        """Appends an event. Raises RunFailedError when the disk does not take it."""
        try:
            self._writer(event)
        except OSError as error:
            raise self._full(error) from error

    def save_ideal(self, ideal_s: Mapping[str, float]) -> None:
        """Stores the seconds that each session takes alone; sessions it leaves out have none."""
        self._write(IDEAL, dict(sorted(ideal_s.items())))

    def save_decisions(self, decisions: Decisions | None) -> None:
        """Stores how often what decides was asked; nothing where nobody counted."""
        if decisions is not None:
            self._write(DECISIONS, decisions)

    def save_modes(self, seconds: Mapping[str, float]) -> None:
        """Stores the seconds that the controller spent in each of its modes; no file for none."""
        if seconds:
            self._write(MODES, dict(sorted(seconds.items())))

    def finish(
        self, *, reasons: Sequence[str] = (), cautions: Sequence[CautionNote] = ()
    ) -> RunSummary:
        """Ends the run: reads its own events back, writes the tables and the summary, packs it.

        reasons: why the run is not valid, beside what its events show.
        cautions: beside those of the configuration and of the figures.
        """
        self._close()
        checker = Checker(self.config.total_blocks, self.config.unmeasured)
        measured = self.measure(checker)
        why = [*reasons, *_say(checker.violations)]
        failures = failures_of(measured.sessions)
        summary = run_summary(
            self.config, measured.summary, self.decisions(), why, cautions, failures
        )
        self._write_tables(measured)
        self._write(WALL, wall(self._started, "finished"))
        self._bind(SUMMARY, summary)
        self._write(SUMMARY, summary)
        with suppress(OSError):  # without room for both forms the plain one stays, as good
            pack(self.path)
        return summary

    def _bind(self, last: str, content: object) -> None:
        """Writes what the run's files hash to, the last one, which is yet to come, included."""
        names = (CONFIG, EVENTS, IDEAL, DECISIONS, MODES, *(f"{name}.parquet" for name in TABLES))
        there = [name for name in names if (self.path / name).is_file()]
        hashes = {name: self._hash(name) for name in there}
        own = hashlib.sha256(_text(content).encode()).hexdigest()
        self._write(FILES, {**hashes, last: own})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._close()
        if not self.complete:
            outcome = _outcome(error).replace(str(self.path), self.path.name)
            self._write(WALL, wall(self._started, outcome))

    def _close(self) -> None:
        with self._writing():
            self._writer.__exit__()

    def _write_tables(self, measured: Measured) -> None:
        rows = (measured.rounds, measured.sessions, measured.evictions, measured.usage)
        with self._writing():
            for (name, kind), records in zip(TABLES.items(), rows, strict=True):
                write_table(self.path / f"{name}.parquet", kind, records)

    def _write(self, name: str, content: object) -> None:
        """Writes a JSON file whole or not at all: a reader never finds half of it."""
        with self._writing():
            save_text(self.path / name, _text(content))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Raises RunFailedError when the disk does not take it."""
        try:
            yield
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> RunFailedError:
        return RunFailedError(
            f"Cannot go on writing {self.path}: {error.strerror}; what was written is kept. "
            "Make room and rerun into another folder."
        )


def _text(content: object) -> str:
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _outcome(error: BaseException | None) -> str:
    """How a run ended early: our own errors in their words, others, which may name paths, not."""
    if isinstance(error, MarsbenchError):
        return str(error).removesuffix(".")
    return type(error).__name__ if error else "not finished"


def _say(violations: Sequence[str]) -> list[str]:
    if not violations:
        return []
    return [f"the event stream breaks {len(violations)} rules, first: {violations[0]}"]


def _load(path: Path) -> dict[str, Any]:
    """A JSON object. Raises UsageError naming the file when it holds none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(
            f"{path} {json_problem(error)}; the run folder was changed by hand."
        ) from error
    if not isinstance(record, dict):
        raise UsageError(f"{path} holds no JSON object; the run folder was changed by hand.")
    return record
