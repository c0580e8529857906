"""From recorded LLM calls to a session, whatever agent made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from marsbench.core.session import Round, Session, ToolCall
from marsbench.formats.fallback import Fallback
from marsbench.formats.history import Lengths, grown_by_lengths
from marsbench.formats.reading import ReadError


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One recorded LLM call.

    prompt, output: recorded tokens; None where nobody counted them.
    appended: texts that joined the context since the call before; generated: what this one said.
    tools: what ran before the next call.
    kept: texts of the old context that are still in this prompt, when it is known to be cut.
    anew: it is known to be cut, and of the old context only what all sessions share is left.
    drops: the reply to the call before is not in this prompt, and all before it is.
    cached: tokens of this prompt that were read from a cache: of a cut context they are left.
    """

    prompt: int | None = None
    output: int | None = None
    appended: Sequence[str] = ()
    generated: str = ""
    tools: tuple[ToolCall, ...] = ()
    kept: Sequence[str] | None = None
    anew: bool = False
    drops: bool = False
    cached: int | None = None

    def after(self, text: str) -> RecordedCall:
        """With a text in front of all that it appended."""
        return replace(self, appended=(text, *self.appended))


def session_of_calls(
    name: str, calls: Sequence[RecordedCall], fallback: Fallback, prefix: str = ""
) -> Session:
    """The session of these calls.

    prefix: the text that begins every session of this agent (system prompt and tools); without
    a tokenizer its length is not known, and the session shares nothing.
    Raises ReadError when there is no call, or a length is neither recorded nor countable.
    """
    if not calls:
        raise ReadError("holds no call of a model")
    lengths = _lengths(calls, fallback)
    shared = 0
    if prefix and fallback.tokens is not None:
        shared = min(fallback.tokens(prefix), lengths[0].prompt)
    rounds: list[Round] = []
    for call, before, own in zip(calls, (None, *lengths[:-1]), lengths, strict=True):
        left = shared if before is None else max(shared, min(call.cached or 0, before.prompt))
        kept = left if call.anew else _kept(call, fallback)
        if call.drops and before is not None:
            kept = before.prompt
        cut, append = grown_by_lengths(before, own, kept, left)
        rounds.append(Round(append, own.output, call.tools, cut))
    # Nothing waits for the last round's tools, and they are never run.
    rounds[-1] = replace(rounds[-1], tools=())
    group = "prompt-" + hashlib.sha256(prefix.encode()).hexdigest()[:12] if shared else None
    return Session(name, tuple(rounds), prefix_group=group, prefix_tokens=shared)


def _lengths(calls: Sequence[RecordedCall], fallback: Fallback) -> list[Lengths]:
    counted: list[Lengths] = []
    for number, call in enumerate(calls):
        of = f"call {number}"
        prompt, output = call.prompt, call.output
        if prompt is None:
            history = _history(call, counted, fallback)
            prompt = history + _count(call.appended, fallback, of)
        if output is None:
            output = fallback.count(call.generated, of)
        # An empty prompt or answer is an interrupted call; a round has at least one token of each.
        counted.append(Lengths(max(1, prompt), max(1, output)))
    return counted


def _history(call: RecordedCall, before: Sequence[Lengths], fallback: Fallback) -> int:
    """Tokens that were in the context before anything was appended."""
    if call.anew:
        raise ReadError("a call after a condensation has no recorded token count")
    kept = _kept(call, fallback)
    if kept is not None:
        return kept
    if not before:
        return 0
    return before[-1].prompt + (0 if call.drops else before[-1].output)


def _kept(call: RecordedCall, fallback: Fallback) -> int | None:
    """Tokens that a cut kept; None where nobody knows of a cut."""
    return None if call.kept is None else _count(call.kept, fallback, "a cut context")


def _count(texts: Sequence[str], fallback: Fallback, of: str) -> int:
    return sum(fallback.count(text, of) for text in texts)
