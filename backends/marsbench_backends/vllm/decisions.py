"""How often a policy was asked, and how often it answered other than vLLM would have.

A decision that stands is one decision, however many steps it stands for: nothing here counts
steps, so that steps taken as one (the simulator's macro steps) count like single ones.
docs/metrics.md says of each what "asked" and "differed" are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol


@dataclass(slots=True)
class AnswerTally:
    """Times asked, and times that the answer was not vLLM's own."""

    asked: int = 0
    differed: int = 0

    def add(self, differed: bool) -> None:
        """One more answer."""
        self.asked += 1
        self.differed += differed


@dataclass(slots=True)
class Marks:
    """What is remembered of a round.

    place: the rank of its start among all starts, which is vLLM's own order of running.
    behind: whose place at the front of the queue it was last seen in.
    prefilled, cut: whether its chunks were asked about, and one was cut.
    """

    place: int = 0
    behind: str | None = None
    prefilled: bool = False
    cut: bool = False


class CountedRound(Protocol):
    """A round as it is counted."""

    @property
    def request_id(self) -> str: ...
    @property
    def decoding(self) -> bool: ...
    @property
    def marks(self) -> Marks: ...


@dataclass(slots=True)
class StandingHold:
    """A hold while it stands: what was free and what had been taken when it began."""

    free_blocks: int
    taken_blocks: int
    shortages: int


@dataclass(slots=True)
class Decisions:
    """The counts of one run. Between `step_began` and `step_ended` vLLM puts a step together."""

    waiting_order: AnswerTally = field(default_factory=AnswerTally)
    running_order: AnswerTally = field(default_factory=AnswerTally)
    victim: AnswerTally = field(default_factory=AnswerTally)
    chunk: AnswerTally = field(default_factory=AnswerTally)
    shrink: AnswerTally = field(default_factory=AnswerTally)
    retain: AnswerTally = field(default_factory=AnswerTally)
    hold: AnswerTally = field(default_factory=AnswerTally)
    reclaim: AnswerTally = field(default_factory=AnswerTally)
    eviction_order: AnswerTally = field(default_factory=AnswerTally)
    _in_step: bool = False
    _starts: int = 0
    _free_blocks: int = 0
    _taken_blocks: int = 0
    _shortages: int = 0
    _order: tuple[int, ...] = ()
    _fits: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    _holds: dict[str, StandingHold] = field(default_factory=dict)

    def record(self) -> dict[str, dict[str, int]]:
        """All counts, as JSON."""
        names = (f.name for f in fields(self) if not f.name.startswith("_"))
        found = {name: asdict(getattr(self, name)) for name in names}
        if not self.eviction_order.asked:  # no run of before has it
            del found["eviction_order"]
        return found

    # --- a step

    def step_began(self, free_blocks: int) -> None:
        """vLLM begins to choose."""
        self._in_step = True
        self._free_blocks = free_blocks
        self._fits.clear()

    def step_ended(
        self,
        scheduled: Collection[str],
        begun: Sequence[CountedRound],
        short: bool,
        free_blocks: int,
    ) -> None:
        """It has chosen: who gets tokens, who began to run, whether somebody was preempted."""
        self._in_step = False
        for one in begun:
            self._starts += 1
            one.marks.place = self._starts
        for request_id, (running, cut) in self._fits.items():
            # A round that waits is asked about again and again until it may start.
            if running or request_id in scheduled:
                self.shrink.add(cut)
        self._shortages += short
        self._taken_blocks += max(0, self._free_blocks - free_blocks)

    # --- order

    def looked_at(self, front: CountedRound, own: CountedRound) -> None:
        """vLLM looks at the front of the queue, where `own` would stand in its own order.

        Others look too, and decide nothing by it.
        """
        if self._in_step and front.marks.behind != own.request_id:
            front.marks.behind = own.request_id
            self.waiting_order.add(front is not own)

    def served_in(self, running: Iterable[CountedRound]) -> None:
        """The order in which rounds were served, in a step whose tokens did not do for all.

        Among themselves decodes need no order: each gets its one token first or last.
        """
        served = [(one.marks.place, one.decoding) for one in running]
        order = tuple(0 if decoding else place for place, decoding in served)
        if order != self._order:
            self._order = order
            own = tuple(0 if decoding else place for place, decoding in sorted(served))
            self.running_order.add(order != own)

    def preempts(self, victim: CountedRound, running: Iterable[CountedRound]) -> None:
        """vLLM's own victim is the one that began last."""
        self.victim.add(victim.marks.place < max(one.marks.place for one in running))

    # --- chunks

    def chunked(self, one: CountedRound, cut: bool) -> None:
        """A chunk of the round's prompt was asked about; each round counts once."""
        marks = one.marks
        self.chunk.asked += not marks.prefilled
        self.chunk.differed += cut and not marks.cut
        marks.prefilled, marks.cut = True, marks.cut or cut

    def shrunk(self, one: CountedRound, running: bool, cut: bool) -> None:
        """A chunk did not fit; whether it is cut counts once the step is put together."""
        self._fits[one.request_id] = (running, cut)

    # --- memory

    def paused(self, kept: bool) -> None:
        """A session paused: whether its blocks are left to the LRU, as vLLM would."""
        self.retain.add(kept)

    def hold_began(self, session_id: str, free_blocks: int) -> None:
        """Its blocks would stand behind all that are free."""
        self._holds[session_id] = StandingHold(free_blocks, self._taken_blocks, self._shortages)

    def hold_ended(self, session_id: str) -> None:
        """Whether the LRU would have come to its blocks: all before them were taken, or a step
        was short of memory. It may be so too often, since a taken block may have stood behind.
        """
        began = self._holds.pop(session_id, None)
        if began is not None:
            taken = self._taken_blocks - began.taken_blocks
            short = self._shortages > began.shortages
            self.hold.add(short or taken > began.free_blocks)

    def ranked(self, differs: bool) -> None:
        """A round gave its blocks back: whether any is to go before or after vLLM's own order."""
        self.eviction_order.add(differs)

    def gave_up(self, session_id: str, latest: str) -> None:
        """A hold was revoked, where the one that paused last is given up by default."""
        self._shortages += 1
        self.reclaim.add(session_id != latest)


class ModeTimes:
    """Seconds that a controller spent in each of its modes, while sessions waited for it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mode: str | None = None
        self._since = 0.0

    def enter(self, mode: str | None, now: float) -> None:
        """From now on it is in this mode; None: nobody waits, or it has no modes."""
        if self._mode is not None:
            self.seconds[self._mode] = self.seconds.get(self._mode, 0.0) + now - self._since
        self._mode, self._since = mode, now


class Entries:
    """Sessions that came to the entrance, and those that had to wait there, by what held them.

    A session counts once, and once for each reason that it was ever given.
    """

    def __init__(self) -> None:
        self.sessions = AnswerTally()
        self.reasons: Counter[str] = Counter()
        self.modes = ModeTimes()
        self._given: dict[str, set[str]] = {}

    def came(self) -> None:
        """One more session asks to enter."""
        self.sessions.asked += 1

    def held_back(self, session_id: str, why: str | None) -> None:
        """It was asked for and left waiting; None where the controller does not say why."""
        if session_id not in self._given:
            self.sessions.differed += 1
        given = self._given.setdefault(session_id, set())
        if why is not None and why not in given:
            given.add(why)
            self.reasons[why] += 1

    def gone(self, session_id: str) -> None:
        """It waits no longer."""
        self._given.pop(session_id, None)

    def record(self) -> Mapping[str, Any]:
        """The counts, as JSON."""
        return {**asdict(self.sessions), "reasons": dict(sorted(self.reasons.items()))}
