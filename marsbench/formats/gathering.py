"""From what readers find to what is imported: one session at a time, held to its recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from marsbench.core.session import Session
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Header
from marsbench.errors import UsageError
from marsbench.formats.arrivals import from_first
from marsbench.formats.checks import (
    differences,
    gaps_s,
    num_rounds,
    require_fitting,
    require_readable,
)
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    SessionSource,
    Stated,
)

TrackSources = Callable[[Iterable[SessionSource]], Iterable[SessionSource]]

MOST_SESSIONS = 400_000
"""Kept in memory at most: more than any engine plays, and all that 500 MB hold."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the sessions are asked for.

    limit: the first so many, and nothing behind them is read.
    sample: so many, each as likely as any other, drawn from the stream of this seed.
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 1


EVERY = Wanted()


@dataclass(frozen=True, slots=True)
class Account:
    """One session beside its recording: what `workload show` sums up.

    repairs: the kinds of what was mended. differences: sentences without names.
    """

    stated: Stated
    gaps_s: float
    num_rounds: int
    repairs: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What was imported, and for each file or row that was left out a sentence that says why.

    unawaited: sub-agents that no request of their parent came after; they are left out too.
    notes: what a reader of the sessions should know; nothing was left out or changed for it.
    repairs: what was mended; `differences`: where a session and its recording disagree.
    header: what a file of ours says of the workload that it was exported from.
    has_arrivals: False where a recording has none, although its format has.
    accounts: one a session.
    """

    sessions: tuple[Session, ...]
    problems: tuple[str, ...] = ()
    unawaited: int = 0
    notes: tuple[str, ...] = ()
    header: Header | None = None
    has_arrivals: bool = True
    repairs: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """One session that is kept, its place among all that could be, and what is said of it.

    where: how it is named in what is said; empty where that is nothing.
    """

    number: int
    where: str
    reading: Reading
    account: Account


def gather(
    contents: Iterable[Contents], track: TrackSources | None = None, wanted: Wanted = EVERY
) -> ImportResult:
    """The sessions of these files, in their order; a bad one leaves the others as they are.

    Raises UsageError when there are more than a machine can keep.
    """
    gathered = _Gathered(wanted)
    opened: list[Contents] = []

    def sources() -> Iterator[SessionSource]:
        for one in contents:
            opened.append(replace(one, sources=()))
            yield from one.sources

    for source in track(sources()) if track else sources():
        gathered.take(source)
        if gathered.is_full:
            break
    return gathered.result(opened)


@dataclass(slots=True)
class _Gathered:
    """The sessions so far.

    contents: by name of what was read, the hash of the session that has it; of the first so many
    and of what was kept. turns: of a name that several had, the next run's number. copies: hashes
    of those runs.
    """

    wanted: Wanted
    kept: list[_Kept] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    contents: dict[str, int] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)
    copies: set[int] = field(default_factory=set)
    num_good: int = 0
    draws: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.draws = stream(self.wanted.seed, "import-sample")

    @property
    def is_full(self) -> bool:
        limit = self.wanted.limit
        return limit is not None and self.num_good >= limit

    def take(self, source: SessionSource) -> None:
        try:
            reading = self._named(source.read())
            require_fitting(reading.session, reading.stated)
            require_readable(reading.session)
            account = _account(reading)
        except (ReadError, ValueError) as error:  # a ValueError is a session that cannot be
            self._leave_out(f"{source.where}: {error}")
        except RecursionError:
            self._leave_out(f"{source.where}: is nested too deeply")
        else:
            is_told = reading.notes or reading.repairs or account.differences
            # Of hundreds of thousands nothing is said, but their places would be kept.
            self._keep(_Kept(self.num_good, source.where if is_told else "", reading, account))
            self.num_good += 1

    def _leave_out(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) > MOST_SESSIONS:
            raise UsageError(
                f"More than {MOST_SESSIONS:,} sessions cannot be read, the first for this: "
                f"{self.problems[0]}; give files of that format, or name one that fits."
            )

    def _named(self, reading: Reading) -> Reading:
        """Under a name of its own: several runs of one task have one name in many recordings.

        Raises ReadError for a session that was read already.
        """
        session = reading.session
        names, content = _ids(session), hash(session)
        if len(set(names)) < len(names):
            raise ReadError(f"id: {session.id!r} names a session and a sub-agent of it")
        if self.contents.keys().isdisjoint(names):
            self._remember(names, content)
            return reading
        if content in (self.contents.get(session.id), *(self.copies & {content})):
            raise ReadError(f"id: {session.id!r} was already imported")
        renamed = self._next_run(session)
        if len(self.copies) < MOST_SESSIONS:
            self.copies.add(content)
        note = f"is another run of {session.id!r}, and named {renamed.id!r}"
        return replace(reading, session=renamed, notes=(*reading.notes, note))

    def _next_run(self, session: Session) -> Session:
        """Under the first name that is free."""
        turn = self.turns.get(session.id, 2)
        while not self.contents.keys().isdisjoint(_ids(renamed := _run_of(session, turn))):
            turn += 1
        self.turns[session.id] = turn + 1
        self._remember(_ids(renamed), 0)
        return renamed

    def _remember(self, names: Iterable[str], content: int) -> None:
        """Of the first so many: a week of requests has 44 million."""
        if len(self.contents) < MOST_SESSIONS:
            self.contents.update(dict.fromkeys(names, content))

    def _keep(self, kept: _Kept) -> None:
        """All, or each as likely as any other (Vitter 1985, DOI 10.1145/3147.3165, algorithm R)."""
        sample = self.wanted.sample
        if sample is None or len(self.kept) < sample:
            self.kept.append(kept)
        elif (place := int(self.draws.integers(kept.number + 1))) < sample:
            self.kept[place] = kept
        else:
            return
        for name in _ids(kept.reading.session):
            self.contents.setdefault(name, hash(kept.reading.session))
        if len(self.kept) > MOST_SESSIONS:
            raise UsageError(
                f"There are more than {MOST_SESSIONS:,} sessions; give --limit N for the first, "
                "or --sample N for some of all."
            )

    def result(self, opened: Sequence[Contents]) -> ImportResult:
        kept = sorted(self.kept, key=lambda one: one.number)
        sessions, dated = from_first([one.reading.session for one in kept])
        notes = [*(note for one in opened for note in one.notes), *dated]
        said = [f"{one.where}: {note}" for one in kept for note in one.reading.notes]
        return ImportResult(
            sessions=tuple(sessions),
            problems=tuple(self.problems),
            unawaited=sum(one.reading.unawaited for one in kept),
            notes=(*notes, *said),
            header=opened[0].header if len(opened) == 1 else None,
            has_arrivals=all(one.has_arrivals for one in opened),
            repairs=tuple(f"{k.where}: {r.detail}" for k in kept for r in k.reading.repairs),
            differences=tuple(f"{k.where}: {d}" for k in kept for d in k.account.differences),
            accounts=tuple(one.account for one in kept),
        )


def _ids(session: Session) -> list[str]:
    return [member.id for member in session.walk()]


def _run_of(session: Session, turn: int) -> Session:
    """The session under the name of another run of its task."""
    named = session.with_children(lambda child: _run_of(child, turn))
    return replace(named, id=f"{session.id}@{turn}")


def _account(reading: Reading) -> Account:
    session, stated = reading.session, reading.stated
    return Account(
        stated,
        gaps_s(session),
        num_rounds(session),
        tuple(repair.kind for repair in reading.repairs),
        tuple(differences(session, stated)),
    )


def require_clean(result: ImportResult) -> None:
    """Raises UsageError when anything was left out, mended, or differs from its recording."""
    wrong = (*result.problems, *result.repairs, *result.differences)
    if wrong or result.unawaited:
        first = wrong[0] if wrong else f"{result.unawaited} sub-agents that nothing waits for"
        more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
        raise UsageError(
            f"Refused, for --strict takes no recording with anything amiss: {first}{more}; leave "
            "--strict out to import the rest."
        )
