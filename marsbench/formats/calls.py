"""From recorded LLM calls to a session, whatever agent made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.formats.history import grown_by_lengths
from marsbench.formats.reading import ReadError
from marsbench.formats.stated import Stated


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One recorded LLM call.

    prompt, output: recorded tokens; None where nobody counted them.
    appended: texts that joined the context since the call before; generated: what this one said.
    tools: what ran before the next call.
    kept: texts of the old context that are still in this prompt, when it is known to be cut.
    anew: it is known to be cut, and of the old context only what all sessions share is left.
    """

    prompt: int | None = None
    output: int | None = None
    appended: Sequence[str] = ()
    generated: str = ""
    tools: tuple[ToolCall, ...] = ()
    kept: Sequence[str] | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class _Lengths:
    prompt: int
    output: int


def session_of_calls(name: str, calls: Sequence[Call], stated: Stated, prefix: str = "") -> Session:
    """The session of these calls.

    prefix: the text that begins every session of this agent (system prompt and tools); without
    a tokenizer its length is not known, and the session shares nothing.
    Raises ReadError when there is no call, or a length is neither recorded nor countable.
    """
    if not calls:
        raise ReadError("holds no call of a model")
    lengths = _lengths(calls, stated)
    shared = _shared(prefix, lengths[0].prompt, stated)
    rounds: list[Round] = []
    before = None
    for call, length in zip(calls, lengths, strict=True):
        cut, append = grown_by_lengths(before, length, _kept(call, stated, shared), shared)
        rounds.append(Round(append, length.output, call.tools, cut))
        before = length
    group = f"{_digest(prefix)}" if shared else None
    return Session(name, _without_last_tools(rounds), prefix_group=group, prefix_tokens=shared)


def timed_call(
    name: str, begin: datetime, end: datetime | None, stated: Stated, of: str
) -> ToolCall:
    """A tool call between two time stamps, or as long as stated where it has no end.

    Raises ReadError when it has neither, or ended before it began.
    """
    seconds = stated.tool_time(of) if end is None else _seconds(begin, end, name)
    return ToolCall(name, "wait", floor_s=seconds)


def user_pause(begin: datetime, said: Sequence[datetime]) -> tuple[ToolCall, ...]:
    """The user's pause until the last thing said before the next call, if anything was."""
    if not said:
        return ()
    return (ToolCall(USER, "wait", floor_s=_seconds(begin, said[-1], USER)),)


def _seconds(begin: datetime, end: datetime, what: str) -> float:
    try:
        seconds = (end - begin).total_seconds()
    except TypeError as error:
        raise ReadError(f"{what}: only some time stamps have a time zone") from error
    if seconds < 0:
        raise ReadError(f"{what}: ended {-seconds:g} s before it was asked for")
    return seconds


def unseen(recorded: Set[str], used: Set[str]) -> tuple[str, ...]:
    """A note on the responses that were recorded and that no event came of, if any."""
    lost = len(recorded - used)
    if not lost:
        return ()
    is_left = "is left" if lost == 1 else "are left"
    return (f"{lost} of {len(recorded)} calls of a model led to no event, and {is_left} out",)


def _lengths(calls: Sequence[Call], stated: Stated) -> list[_Lengths]:
    found: list[_Lengths] = []
    for number, call in enumerate(calls):
        of = f"call {number}"
        prompt = call.prompt
        if prompt is None:
            prompt = _kept_before(call, found, stated) + _count(call.appended, stated, of)
        output = call.output
        if output is None:
            output = stated.count(call.generated, of)
        # An empty prompt or answer is an interrupted call; a round has at least one token of each.
        found.append(_Lengths(max(1, prompt), max(1, output)))
    return found


def _kept_before(call: Call, found: Sequence[_Lengths], stated: Stated) -> int:
    if call.anew:
        raise ReadError("a call after a condensation has no recorded token count")
    if call.kept is not None:
        return _count(call.kept, stated, "a cut context")
    return found[-1].prompt + found[-1].output if found else 0


def _kept(call: Call, stated: Stated, shared: int) -> int | None:
    """Tokens that a cut kept; None where nobody knows of a cut."""
    if call.anew:
        return shared
    return None if call.kept is None else _count(call.kept, stated, "a cut context")


def _count(texts: Sequence[str], stated: Stated, of: str) -> int:
    return sum(stated.count(text, of) for text in texts)


def _shared(prefix: str, first_prompt: int, stated: Stated) -> int:
    if not prefix or stated.tokens is None:
        return 0
    return min(stated.tokens(prefix), first_prompt)


def _digest(prefix: str) -> str:
    """A name for a text: sessions with the same one share it."""
    return "prompt-" + hashlib.sha256(prefix.encode()).hexdigest()[:12]


def _without_last_tools(rounds: Sequence[Round]) -> tuple[Round, ...]:
    """Nothing waits for the last round's tools, and they are never run."""
    last = rounds[-1]
    return (*rounds[:-1], Round(last.append_tokens, last.output_tokens, (), last.cut))
