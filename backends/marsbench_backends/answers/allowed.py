"""Which answers to a decision can be carried out, and how to say so.

A rule is asked for the answer, the time and what the decision was given; its words for the latter.
True is no number here, and what is not a number is none either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TypeGuard

from marsbench_backends.answers.wrong import listed
from marsbench_backends.policy import Discard, EvictionRank, Keep, Paused, Release, Req, Swap

Rule = tuple[Callable[..., bool], Callable[..., str]]


def is_number(value: object) -> TypeGuard[float]:
    """A real number, infinite or not; neither a bool nor NaN."""
    return isinstance(value, Real) and not isinstance(value, bool) and value == value


def is_whole(value: object) -> TypeGuard[int]:
    """An int that is no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_retention(answer: object, now: float, _paused: Paused) -> bool:
    if isinstance(answer, Keep):
        return is_number(answer.until) and answer.until > now
    return isinstance(answer, Release | Discard | Swap)


def _is_order(answer: object, now: float, _req: Req) -> bool:
    if not isinstance(answer, list | tuple):
        return False
    ends = [one.upto for one in answer if _is_rank(one, now)]
    return len(ends) == len(answer) and ends == sorted(ends)


def _is_rank(one: object, now: float) -> bool:
    if not isinstance(one, EvictionRank):
        return False
    return is_number(one.upto) and is_number(one.rank) and is_number(one.until) and one.until > now


def _is_held(answer: object, _now: float, held: Sequence[Paused], _needs: Req) -> bool:
    if answer is None:
        return True
    return isinstance(answer, str) and any(paused.session_id == answer for paused in held)


def _held(held: Sequence[Paused], _needs: Req) -> str:
    return f"None or the id of a session that holds blocks ({listed([p.session_id for p in held])})"


def _is_among(answer: object, _now: float, running: Sequence[Req]) -> bool:
    return any(req is answer for req in running)


def _are_among(answer: object, _now: float, running: Sequence[Req]) -> bool:
    if not isinstance(answer, Sequence) or isinstance(answer, str):
        return False
    ids = [id(req) for req in answer]
    return len(set(ids)) == len(ids) and set(ids) <= {id(req) for req in running}


def _is_part(answer: object, _now: float, _req: Req, num_tokens: int, *_: int) -> bool:
    return is_whole(answer) and 0 <= answer <= num_tokens


def _part(_req: Req, num_tokens: int, *_: int) -> str:
    return f"a whole number from 0 to {num_tokens}"


def _is_key(answer: object, _now: float, _req: Req) -> bool:
    return isinstance(answer, tuple) and all(map(_has_order, answer))


def _has_order(part: object) -> bool:
    if isinstance(part, tuple):
        return all(map(_has_order, part))
    return isinstance(part, str | bool) or is_number(part)


def _is_length(answer: object, _now: float, _req: Req) -> bool:
    return is_number(answer) and answer >= 0


def _is_later(answer: object, now: float) -> bool:
    return is_number(answer) and answer > now


def _words(words: str) -> Callable[..., str]:
    return lambda *_: words


_KEY: Rule = (_is_key, _words("a tuple of numbers or text, and no NaN in it"))
RULES: dict[str, Rule] = {
    "waiting_key": _KEY,
    "running_key": _KEY,
    "victim": (_is_among, _words("one of the requests in `running`")),
    "yields": (_are_among, _words("some of the requests in `running`, each once")),
    "chunk": (_is_part, _part),
    "shrink": (_is_part, _part),
    "retain": (
        _is_retention,
        _words("Keep(until) with until after now, Release(), Discard() or Swap()"),
    ),
    "eviction_order": (
        _is_order,
        _words(
            "a list of EvictionRank(upto, rank, until), numbers all, each `upto` no less than the "
            "one before it, each `until` after now"
        ),
    ),
    "reclaim": (_is_held, _held),
    "steady_tokens": (_is_length, _words("a number of tokens, 0 or more (inf: for good)")),
    "changes_at": (_is_later, _words("a time after now (inf: never)")),
}
