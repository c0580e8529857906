"""MemGPT as a workload: sessions in a window of W tokens, whose context is paged out.

MemGPT (arXiv 2310.08560, section 2): past 70 % of the window the model is alerted and saves what
it wants to keep; at 100 % the queue of messages is flushed: half a window of the oldest is evicted,
and a call of its own makes a new summary of them and of the summary before. Here that call is a
sub-agent, for it has a prompt of its own, and what it leaves is a cut behind the system prompt.
The summary is 100 words (cpacker/MemGPT @4d7c559, `gpt_summarize.py`). That code summarises the
first part of an input by itself where the whole is beyond 0.75 W; half a window never is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError

WARNING, EVICTED = 0.7, 0.5
"""Shares of the window: where the alert comes, and what a flush evicts at least."""

INSTRUCTION_TOKENS, SUMMARY_TOKENS = 260, 150
"""The summarising call's system prompt (1,125 characters), and 100 words."""

ALERT_TOKENS, SAVE_TOKENS, SAVED_TOKENS, SAVE_S = 60, 150, 30, 0.01
"""The alert; the call of a memory function that answers it, what that returns, and takes: ours."""


def paged(workload: Workload, window: int) -> Workload:
    """The same sessions at the same times, no context of theirs longer than the window.

    Raises UsageError for sessions that are paged already, and for branches, whose context would be
    their parent's before it was paged.
    """
    if "context_paging" in workload.meta:
        raise UsageError(
            f"{workload.name} is paged already, in a window of {workload.meta['context_paging']} "
            "tokens; leave out --context-paging, or give the workload that it was made from."
        )
    sessions = tuple(_paged(session, window) for session in workload.sessions)
    return replace(workload, sessions=sessions, meta={**workload.meta, "context_paging": window})


def _paged(session: Session, window: int) -> Session:
    if session.fork_tokens:
        raise UsageError(
            f"Session {session.id} begins with its parent's context, which paging would have cut "
            "before; leave out --context-paging, or play a workload without branches."
        )
    session = session.with_children(lambda child: _paged(child, window))
    most = window // 4
    system = min(session.prefix_tokens, most) if session.prefix_group is not None else 0
    pager = _Pager(session.id, window, system)
    for number, rnd in enumerate(session.rounds):
        # A system prompt stays in the window for good, so that a longer one is shortened.
        lost = session.prefix_tokens - system if not number and system else 0
        pager.take(replace(rnd, append_tokens=rnd.append_tokens - lost))
    return replace(session, rounds=tuple(pager.rounds), prefix_tokens=system)


@dataclass(slots=True)
class _Pager:
    """The rounds so far, and the context after them: system prompt, summary, queue of messages."""

    name: str
    window: int
    system: int
    rounds: list[Round] = field(default_factory=list)
    summary: int = 0
    queue: int = 0
    is_warned: bool = False
    num_flushes: int = 0

    @property
    def length(self) -> int:
        return (self.system if self.rounds else 0) + self.summary + self.queue

    def take(self, rnd: Round) -> None:
        """A round of the session's own, whose append comes in pages of a quarter window."""
        page = self.window // 4
        first = 0 if self.rounds else self.system
        left = rnd.append_tokens - first
        cut = self._cut(rnd.cut)
        while left > page:
            self._add(Round(first + page, SAVE_TOKENS, (_save(),), cut))
            left, first, cut = left - page, 0, None
        output = min(rnd.output_tokens, page)
        self._add(Round(first + left, output, rnd.tools, cut))

    def _cut(self, cut: Cut | None) -> Cut | None:
        """The session's own, where the context is longer than that leaves it."""
        if cut is None or self.length <= cut.to_tokens:
            return None
        length = max(self.system, cut.to_tokens)
        self.summary, self.queue, self.is_warned = 0, length - self.system, False
        return Cut(length, self.system)

    def _add(self, rnd: Round) -> None:
        coming = rnd.append_tokens + rnd.output_tokens
        if self.length + coming > self.window:
            rnd = replace(rnd, cut=self._flush(coming))
        more = ALERT_TOKENS + SAVE_TOKENS + SAVED_TOKENS
        is_tight = self.length + rnd.append_tokens > self.window * WARNING
        if is_tight and not self.is_warned and self.length + coming + more <= self.window:
            self.is_warned = True
            alerted = rnd.append_tokens + ALERT_TOKENS
            self._write(Round(alerted, SAVE_TOKENS, (_save(),), rnd.cut))
            rnd = Round(SAVED_TOKENS, rnd.output_tokens, rnd.tools)
        self._write(rnd)

    def _write(self, rnd: Round) -> None:
        own = rnd.append_tokens - (0 if self.rounds else self.system)
        self.queue += own + rnd.output_tokens
        self.rounds.append(rnd)

    def _flush(self, coming: int) -> Cut:
        """Evict from the queue's front, and leave a summary in its place."""
        over = self.system + SUMMARY_TOKENS + self.queue + coming - self.window
        evicted = min(self.queue, max(int(self.window * EVICTED), over))
        before = self.rounds[-1]
        call = ToolCall("summary", "agent", child=self._summariser(evicted, before))
        self.rounds[-1] = replace(before, tools=(*before.tools, call))
        self.summary, self.queue, self.is_warned = SUMMARY_TOKENS, self.queue - evicted, False
        self.num_flushes += 1
        return Cut(self.system + self.summary + self.queue, self.system)

    def _summariser(self, evicted: int, before: Round) -> Session:
        """A session of one call, whose prompt holds the summary so far and what is evicted.

        It begins when the round's tools have ended; sub-agents, whose end is not known, beside it.
        """
        prompt = INSTRUCTION_TOKENS + self.summary + evicted
        return Session(
            f"{self.name}/summary{self.num_flushes}",
            (Round(prompt, SUMMARY_TOKENS),),
            arrival_s=max((call.alone_s for call in before.tools), default=0.0),
            prefix_group="memgpt-summary",
            prefix_tokens=INSTRUCTION_TOKENS,
        )


def _save() -> ToolCall:
    return ToolCall("memory", "wait", floor_s=SAVE_S)
