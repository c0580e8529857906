"""A session as pieces of work: what each needs of a resource, when it can begin, what follows it.

A session's rounds follow one another, so a piece of work has a head (the least time from arrival
to its begin) and a tail (the least time from its end to the session's).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, fsum
from typing import Literal

import numpy as np

from marsbench.bounds.curves import LowestStep
from marsbench.bounds.prices import Prices
from marsbench.bounds.rounds import Need, needs
from marsbench.core.session import Session, ToolCall

Kind = Literal["prefill", "decode", "tool"]

PARTS = 6
"""Pieces of a kind that a session's rounds are put together to, each of about the same amount."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Work of one session (a sub-agent is its own), in an amount of which any share costs as much:

    a share x of it takes x * work_s of the resource at least, and of the steps in which it is
    done x * steps_s, which other sessions' pieces in the same steps do not pay again.
    kv_share: of the KV cache, what its session holds for itself in each of these steps.
    head_s: from the task's arrival to its begin, at least. tail_s: from its end to the task's, at
    least; mean_tail_s: the mean over the amount of the time from there.
    """

    owner: str
    kind: Kind
    amount: float
    work_s: float
    steps_s: float = 0.0
    kv_share: float = 0.0
    head_s: float = 0.0
    tail_s: float = 0.0
    mean_tail_s: float = 0.0

    def within(self, head_s: float, tail_s: float) -> Piece:
        """The piece of a part of a session, with so much before that part and after it."""
        return replace(
            self,
            head_s=self.head_s + head_s,
            tail_s=self.tail_s + tail_s,
            mean_tail_s=self.mean_tail_s + tail_s,
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """path_s: the task's own critical path, the least time from its arrival to its end."""

    path_s: float
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Needing:
    """What a session's demand is computed with."""

    prices: Prices
    groups: frozenset[str]
    block_size: int
    kv_tokens: int
    tool_cores: int


def demand(session: Session, needing: Needing) -> Demand:
    """The session, its sub-agents included."""
    whole = _demand(session, needing)
    owners = sorted({piece.owner for piece in whole.pieces})
    kinds: tuple[Kind, ...] = ("prefill", "decode", "tool")
    pieces = [
        piece
        for owner in owners
        for kind in kinds
        for piece in _together([p for p in whole.pieces if (p.owner, p.kind) == (owner, kind)])
    ]
    return Demand(whole.path_s, tuple(pieces))


def relieved(whole: Demand, resumes: int, prices: Prices) -> Demand:
    """The demand where so many rounds went on after they had been preempted.

    The first token after that is computed in a chunk, together with some that were computed
    before, and may so take less than a decode: it is not counted, whichever it was.
    """
    if not resumes:
        return whole
    less_s = resumes * prices.resumed_less_s
    pieces = (_relieved(piece, resumes, whole.path_s) for piece in whole.pieces)
    return Demand(max(0.0, whole.path_s - less_s), tuple(_sooner(p, less_s) for p in pieces if p))


def _sooner(piece: Piece, less_s: float) -> Piece:
    return replace(
        piece,
        head_s=max(0.0, piece.head_s - less_s),
        tail_s=max(0.0, piece.tail_s - less_s),
        mean_tail_s=max(0.0, piece.mean_tail_s - less_s),
    )


def _relieved(piece: Piece, resumes: int, path_s: float) -> Piece | None:
    """Without any so many of its tokens: what follows the others may be the shorter part."""
    if piece.kind != "decode":
        return piece
    left = piece.amount - resumes
    if left <= 0:
        return None
    longest_s = max(piece.mean_tail_s, path_s - piece.head_s)
    shorter_s = (longest_s - piece.mean_tail_s) * resumes / left
    return replace(
        piece,
        amount=left,
        work_s=piece.work_s * left / piece.amount,
        steps_s=piece.steps_s * left / piece.amount,
        mean_tail_s=max(piece.tail_s, piece.mean_tail_s - shorter_s),
    )


def _demand(session: Session, needing: Needing) -> Demand:
    parts = [
        part
        for need in needs(session, needing.groups, needing.block_size)
        for part in _parts(session.id, need, needing)
    ]
    total_s = fsum(part.path_s for part in parts)
    pieces: list[Piece] = []
    before_s = 0.0
    for part in parts:
        after_s = max(0.0, total_s - before_s - part.path_s)
        pieces.extend(piece.within(before_s, after_s) for piece in part.pieces)
        before_s += part.path_s
    return Demand(total_s, tuple(piece for piece in pieces if piece.amount > 0))


def _together(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Neighbours as one piece each, at the lowest of their prices."""
    whole = fsum(piece.amount for piece in pieces)
    group: list[Piece] = []
    done = 0.0
    for piece in pieces:
        group.append(piece)
        done += piece.amount
        if done >= whole / PARTS:
            yield _one(group)
            group, done = [], 0.0
    if group:
        yield _one(group)


def _one(group: Sequence[Piece]) -> Piece:
    amount = fsum(piece.amount for piece in group)
    return Piece(
        group[0].owner,
        group[0].kind,
        amount,
        amount * min(piece.work_s / piece.amount for piece in group),
        amount * min(piece.steps_s / piece.amount for piece in group),
        min(piece.kv_share for piece in group),
        min(piece.head_s for piece in group),
        min(piece.tail_s for piece in group),
        fsum(piece.mean_tail_s * piece.amount for piece in group) / amount,
    )


def _parts(owner: str, need: Need, needing: Needing) -> Iterator[Demand]:
    yield _prefill(owner, need, needing.prices)
    if need.output > 1:
        yield _decode(owner, need, needing)
    if need.calls:
        yield _tools(owner, need.calls, needing)


def _prefill(owner: str, need: Need, prices: Prices) -> Demand:
    """Its amount is its work; a step holds a whole budget of prompt tokens at most."""
    works = prices.prefill_works(need)
    work_s = float(works.sum())
    lowest = prices.lowest
    attention_s = float(lowest.chunk_s[need.cached : need.prompt].sum())
    path_s = max(attention_s + _rest_s(lowest, need.prompt - need.cached), work_s)
    steps_s = work_s * prices.step_s / lowest.budget / float(works.max())
    # When a token is first computed, those behind its chunk are not.
    after = np.append(np.cumsum(works[::-1])[::-1], np.zeros(lowest.budget))
    mean_tail_s = float((works * after[lowest.budget :]).sum()) / work_s
    piece = Piece(owner, "prefill", work_s, work_s, steps_s, mean_tail_s=mean_tail_s)
    return Demand(path_s, (piece,))


def _rest_s(lowest: LowestStep, tokens: int) -> float:
    """Of all steps that compute so many tokens, without attention but for what it takes once.

    The curve lies above a line with the slope of its chord to the budget. The prompt's last token
    may be a step of its own, without a prefill's kernel.
    """
    budget, rest = lowest.budget, lowest.rest_s
    once_s = lowest.once_s * ceil((tokens - 1) / budget)
    slope = float(rest[budget] - rest[1]) / max(1, budget - 1)
    start = float(np.min(rest[1:] - slope * np.arange(1, budget + 1)))
    several = 2 if tokens <= budget else ceil(tokens / budget)
    split_s = start * several + slope * tokens
    return once_s + (min(float(rest[tokens]), split_s) if tokens <= budget else split_s)


def _decode(owner: str, need: Need, needing: Needing) -> Demand:
    """Its amount is tokens, each a step; those of the shortest context cost the least."""
    prices = needing.prices
    works = prices.decode_works(need)
    steps = prices.lowest.decode_step_s[need.prompt + 1 : need.prompt + need.output]
    num = len(works)
    after = steps.sum() - np.cumsum(steps)
    piece = Piece(
        owner,
        "decode",
        float(num),
        num * float(works.min()),
        num * prices.step_s,
        max(0, need.prompt + 1 - need.shared) / needing.kv_tokens,
        mean_tail_s=float(after.mean()),
    )
    return Demand(float(steps.sum()), (piece,))


def _tools(owner: str, calls: tuple[ToolCall, ...], needing: Needing) -> Demand:
    ends = [_call(owner, call, needing) for call in calls]
    pieces = tuple(piece for end in ends for piece in end.pieces)
    return Demand(max(end.path_s for end in ends), pieces)


def _call(owner: str, call: ToolCall, needing: Needing) -> Demand:
    """A sub-agent, or seconds of the tool host, which is one fast machine here."""
    if call.child is not None:
        below = _demand(call.child, needing)
        lag_s = call.child.arrival_s
        pieces = tuple(piece.within(lag_s, 0.0) for piece in below.pieces)
        return Demand(max(call.alone_s, lag_s + below.path_s), pieces)
    work_s = call.cpu_s / needing.tool_cores
    piece = Piece(owner, "tool", call.cpu_s, work_s, mean_tail_s=call.cpu_s / call.cores / 2)
    return Demand(call.alone_s, (piece,))
