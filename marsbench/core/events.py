"""The information stream: what happened, when, to which session and round.

Every engine writes the same events, and every number is computed from them. Times are seconds
since the run's start. A value that an engine cannot measure is None, never 0.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, Self

import msgspec

from marsbench.errors import UsageError

# json.dumps builds a new encoder for every call that asks for separators.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at `at` seconds."""

    kind: ClassVar[str]
    at: float

    def to_json(self) -> str:
        """One line of JSON, the kind first; the same event always gives the same bytes."""
        form, values = _LINES[type(self)]
        return form % tuple([_TEXTS.get(type(v), _encode)(v) for v in values(self)])


@dataclass(frozen=True, slots=True)
class SessionEvent(Event):
    """Something that happened to a session."""

    session: str


@dataclass(frozen=True, slots=True)
class RoundEvent(SessionEvent):
    """Something that happened to a round of a session."""

    round: int

    @property
    def key(self) -> tuple[str, int]:
        """Which round it is of."""
        return self.session, self.round


@dataclass(frozen=True, slots=True)
class SessionArrived(SessionEvent):
    """A session wants to begin; `parent` is the session that waits for a sub-agent."""

    kind: ClassVar[str] = "session_arrived"
    tenant: str = "default"
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class SessionAdmitted(SessionEvent):
    """The admission controller let the session in."""

    kind: ClassVar[str] = "session_admitted"


@dataclass(frozen=True, slots=True)
class SessionEnded(SessionEvent):
    """The session's last round ended, or it failed for `reason`."""

    kind: ClassVar[str] = "session_ended"
    outcome: Literal["finished", "failed"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RoundReady(RoundEvent):
    """The round's prompt is complete: the session arrived, or its last tool call ended."""

    kind: ClassVar[str] = "round_ready"


@dataclass(frozen=True, slots=True)
class GpuSubmit(RoundEvent):
    """The round was handed to the engine."""

    kind: ClassVar[str] = "gpu_submit"
    prompt_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class GpuStart(RoundEvent):
    """The scheduler let the request run (again, after a preemption).

    cached_tokens: prompt tokens found in the GPU's prefix cache.
    reusable_tokens: tokens, in whole blocks, that this session had computed before and that are
        still part of its prompt: what would have been found had nothing been evicted.
    loaded_tokens: prompt tokens, beyond those, that were loaded from host memory; None in streams
        of before they were told apart, whose cached tokens include them.
    """

    kind: ClassVar[str] = "gpu_start"
    cached_tokens: int | None
    reusable_tokens: int | None
    resumed: bool = False
    loaded_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class GpuFirstToken(RoundEvent):
    """The round's first output token exists."""

    kind: ClassVar[str] = "gpu_first_token"


@dataclass(frozen=True, slots=True)
class PromptCached(RoundEvent):
    """What a server told of a round's prompt when it had answered; its start nobody saw.

    The tokens are those of GpuStart; a server with a KV connector counts as cached what that
    loaded as well, and does not tell the two apart.
    """

    kind: ClassVar[str] = "prompt_cached"
    cached_tokens: int | None
    reusable_tokens: int | None


@dataclass(frozen=True, slots=True)
class GpuEnd(RoundEvent):
    """The round's last output token exists."""

    kind: ClassVar[str] = "gpu_end"
    output_tokens: int


@dataclass(frozen=True, slots=True)
class ToolStart(RoundEvent):
    """Tool call number `call` of the round began; `child` is the sub-agent's session.

    burns_cpu: whether it is work for the tool host's cores; a person who types, the network and a
        sub-agent are none.
    """

    kind: ClassVar[str] = "tool_start"
    call: int
    name: str
    child: str | None = None
    burns_cpu: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolEnd(RoundEvent):
    """Tool call number `call` of the round ended."""

    kind: ClassVar[str] = "tool_end"
    call: int
    name: str


@dataclass(frozen=True, slots=True)
class Preempted(RoundEvent):
    """A running request lost its blocks and waits again."""

    kind: ClassVar[str] = "preempted"
    computed_tokens: int


@dataclass(frozen=True, slots=True)
class Evicted(Event):
    """`blocks` cached blocks of `owner` (a session, or "prefix:GROUP") were dropped by the GPU.

    To make room, or since a policy discarded them. Blocks that leave for host memory are not
    among them (SwappedOut), but in streams without loaded_tokens they are.
    """

    kind: ClassVar[str] = "evicted"
    owner: str
    blocks: int


@dataclass(frozen=True, slots=True)
class SwappedOut(SessionEvent):
    """`blocks` blocks left the GPU's cache, their contents having been copied to host memory.

    They are of the context of `session`, which is paused: its own, and those of its shared prefix
    that nobody else was using.
    """

    kind: ClassVar[str] = "swapped_out"
    blocks: int


@dataclass(frozen=True, slots=True)
class SwappedIn(RoundEvent):
    """`blocks` blocks of the round's prompt have come back from host memory; it can start."""

    kind: ClassVar[str] = "swapped_in"
    blocks: int


@dataclass(frozen=True, slots=True)
class HostEvicted(SessionEvent):
    """Host memory had no room for `blocks` blocks of the context that `session` had swapped.

    A copy that goes with its session's end is no loss, and no event.
    """

    kind: ClassVar[str] = "host_evicted"
    blocks: int


@dataclass(frozen=True, slots=True)
class HostStored(Event):
    """`blocks` blocks of `owner` were copied to host memory, and the engine has heard of it.

    Of vLLM's own offloading (`--host-kv`): the GPU keeps its blocks. owner: as in Evicted.
    copy_s: that the link was busy with them.
    """

    kind: ClassVar[str] = "host_stored"
    owner: str
    blocks: int
    bytes: float
    copy_s: float


@dataclass(frozen=True, slots=True)
class HostLoaded(RoundEvent):
    """`blocks` blocks of the round's prompt were copied back, and the engine has heard of it.

    waited_s: since the round was admitted, which is all that it waited for.
    """

    kind: ClassVar[str] = "host_loaded"
    blocks: int
    bytes: float
    copy_s: float
    waited_s: float


@dataclass(frozen=True, slots=True)
class HostDropped(Event):
    """Host memory of vLLM's own offloading evicted `blocks` blocks of `owner` for others."""

    kind: ClassVar[str] = "host_dropped"
    owner: str
    blocks: int


@dataclass(frozen=True, slots=True)
class HostUnderWay(Event):
    """The run is over, and so many copies to or from host memory are not; bytes: of them whole."""

    kind: ClassVar[str] = "host_under_way"
    copies: int
    bytes: float


@dataclass(frozen=True, slots=True)
class Placed(RoundEvent):
    """A router sent the round to this replica, the first being 0; only where there are several.

    findable_tokens: prompt tokens, in whole blocks, that any replica had computed by then: what one
        cache without end would have; None in streams of before it was told.
    """

    kind: ClassVar[str] = "placed"
    replica: int
    findable_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ReplicaBusy(Event):
    """The run is over: this replica's steps took so many seconds, and so many blocks were evicted.

    evicted_blocks: None in streams of before it was told.
    """

    kind: ClassVar[str] = "replica_busy"
    replica: int
    busy_s: float
    evicted_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class ReplicaChanged(Event):
    """A replica left with its rounds and its cache, drains, or joined."""

    kind: ClassVar[str] = "replica_changed"
    replica: int
    change: Literal["leaves", "drains", "joins"]


@dataclass(frozen=True, slots=True)
class RoundLost(RoundEvent):
    """The round's replica left; the round is sent again, or its session fails."""

    kind: ClassVar[str] = "round_lost"
    replica: int


@dataclass(frozen=True, slots=True)
class KvMoved(RoundEvent):
    """KV of the round's prompt has come to its replica from the cache of another one, the source.

    copy_s: seconds that the copy kept a lane of both. waited_s: since the round was admitted.
    """

    kind: ClassVar[str] = "kv_moved"
    replica: int
    source: int
    blocks: int
    bytes: float
    copy_s: float
    waited_s: float


@dataclass(frozen=True, slots=True)
class Held(SessionEvent):
    """A policy holds `blocks` blocks of a paused session through its tool calls."""

    kind: ClassVar[str] = "held"
    blocks: int
    until: float | None


@dataclass(frozen=True, slots=True)
class Unheld(SessionEvent):
    """The hold ended: "resumed", "expired", "revoked", "swapped", "session_ended", or, with its
    replica, "replica_left".
    """

    kind: ClassVar[str] = "unheld"
    reason: str


@dataclass(frozen=True, slots=True)
class KvUsage(Event):
    """The engine's state, sampled on a grid of virtual or wall time.

    used, held, cached and free blocks add up to all blocks: used by running requests, held for
    paused sessions, cached without a user (evictable), free and empty.
    tools_in_flight: calls that run, whether they burn CPU or only wait.
    """

    kind: ClassVar[str] = "kv_usage"
    used_blocks: int | None
    held_blocks: int | None
    free_blocks: int | None
    running: int | None
    waiting: int | None
    tools_in_flight: int | None


@dataclass(frozen=True, slots=True)
class PreemptionCount(Event):
    """How many preemptions a server has counted since it started, of whomever."""

    kind: ClassVar[str] = "preemption_count"
    total: int


@dataclass(frozen=True, slots=True)
class Unmeasured(Event):
    """Events of the kind `what` were missed, so that their number is not known."""

    kind: ClassVar[str] = "unmeasured"
    what: str
    reason: str


EVENT_TYPES: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        SessionArrived, SessionAdmitted, SessionEnded, RoundReady, GpuSubmit, GpuStart,
        GpuFirstToken, GpuEnd, ToolStart, ToolEnd, Preempted, Evicted, Held, Unheld, KvUsage,
        PromptCached, PreemptionCount, Unmeasured, SwappedOut, SwappedIn, HostEvicted,
        HostStored, HostLoaded, HostDropped, HostUnderWay, Placed, ReplicaBusy,
        ReplicaChanged, RoundLost, KvMoved,
    )
}  # fmt: skip


def _number(value: float) -> str:
    return float.__repr__(value) if math.isfinite(value) else _encode(value)


# As `_encode` writes them, without the encoder's own search for what they are: a long run has a
# million events.
_TEXTS: dict[type, Callable[[Any], str]] = {
    float: _number,
    int: int.__repr__,
    str: encode_basestring_ascii,
    bool: {False: "false", True: "true"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
}


def _line(cls: type[Event]) -> tuple[str, Callable[[Event], tuple[Any, ...]]]:
    """A line of JSON with a place for every value, and what takes the values from an event."""
    names = [f.name for f in dataclasses.fields(cls)]
    parts = [f'"event":"{cls.kind}"', *(f'"{name}":%s' for name in names)]
    return f"{{{','.join(parts)}}}", attrgetter(*names)


_LINES = {cls: _line(cls) for cls in EVENT_TYPES.values()}


class _Kind(msgspec.Struct):
    event: str | None = None


_kind = msgspec.json.Decoder(_Kind).decode
_DECODE: dict[str | None, Callable[[bytes], Event]] = {
    kind: msgspec.json.Decoder(cls).decode for kind, cls in EVENT_TYPES.items()
}
BEGINS = {kind: f'{{"event":"{kind}",'.encode() for kind in EVENT_TYPES}
"""How we begin a line of each kind."""
_KINDS = {begin: kind for kind, begin in BEGINS.items()}


def kind_of(line: bytes) -> str | None:
    """What kind of event a line is; read at its begin, where we write it, or found in its JSON.

    Raises ValueError when it is none.
    """
    return _KINDS.get(line[: line.find(b",") + 1]) or _kind(line).event


def lines_by_kind(lines: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Lines by the kind that each begins with. Raises KeyError for one that begins otherwise."""
    groups: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for line in lines:
        groups[line[: line.find(b",") + 1]].append(line)
    return {_KINDS[begin]: own for begin, own in groups.items()}


def from_json(line: bytes) -> Event:
    """The event of one line. Raises ValueError when the line is no event of ours."""
    decode = _DECODE.get(kind_of(line))
    if decode is None:
        raise ValueError(f"no such event: {line[:80].decode(errors='replace')}")
    return decode(line)


class EventWriter:
    """Appends events to a file as they happen; a kill loses at most the last unflushed few."""

    def __init__(self, path: Path, flush_every: int = 64) -> None:
        self._file: IO[str] = path.open("w", encoding="utf-8", newline="\n")
        self._flush_every = flush_every
        self._pending = 0

    def __call__(self, event: Event) -> None:
        self._file.write(event.to_json() + "\n")
        self._pending += 1
        if self._pending >= self._flush_every:
            self._file.flush()
            self._pending = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_events(
    lines: Iterable[bytes], source: str, kinds: Collection[str] = EVENT_TYPES, first: int = 1
) -> Iterator[Event]:
    """The events of a file from its line `first` on; one that a kill cut short is left out.

    To leave out what is most frequent takes a fifth of the time.
    Raises UsageError naming `source` and the line when any other line is no event.
    """
    left_out = tuple(begin for kind, begin in BEGINS.items() if kind not in kinds)
    for number, line in enumerate(lines, first):
        if not line.endswith(b"\n"):
            return
        if line.startswith(left_out):
            continue
        try:
            event = from_json(line)
        except ValueError as error:
            raise UsageError(f"{source}:{number} is not an event of marsbench: {error}") from error
        if event.kind in kinds:
            yield event
