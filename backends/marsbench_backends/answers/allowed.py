"""Which answers to a decision can be carried out, and how to say so.

A rule is asked for the answer, the time and what the decision was given; its words for the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from marsbench_backends.answers.quantities import is_number, is_whole
from marsbench_backends.answers.wrong import listed
from marsbench_backends.policy import Discard, Keep, Paused, Release, Req, Swap

Rule = tuple[Callable[..., bool], Callable[..., str]]


def _is_retention(answer: object, now: float, _paused: Paused) -> bool:
    if isinstance(answer, Keep):
        return is_number(answer.until) and answer.until > now
    return isinstance(answer, Release | Discard | Swap)


def _is_held(answer: object, _now: float, held: Sequence[Paused], _needs: Req) -> bool:
    if answer is None:
        return True
    return isinstance(answer, str) and any(paused.session_id == answer for paused in held)


def _held(held: Sequence[Paused], _needs: Req) -> str:
    return f"None or the id of a session that holds blocks ({listed([p.session_id for p in held])})"


def _is_among(answer: object, _now: float, running: Sequence[Req]) -> bool:
    return any(req is answer for req in running)


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
    "chunk": (_is_part, _part),
    "shrink": (_is_part, _part),
    "retain": (
        _is_retention,
        _words("Keep(until) with until after now, Release(), Discard() or Swap()"),
    ),
    "reclaim": (_is_held, _held),
    "steady_tokens": (_is_length, _words("a number of tokens, 0 or more (inf: for good)")),
    "changes_at": (_is_later, _words("a time after now (inf: never)")),
}
