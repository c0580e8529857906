"""Replies under a grammar, and the form of logprobs: valid, and about nothing.

A model that is not there says what a grammar (tools that are forced, JSON schemas, choices) leaves
it to say in the fewest tokens: it ends where it may end, closes what may be closed, and else takes
the plainest token that is allowed. So frameworks that force tools can parse every reply.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from marsbench.serve.model_folder import END_OF_TURN, FIRST_BYTE, LETTERS, VOCABULARY


def _tokens(characters: str) -> tuple[int, ...]:
    return (END_OF_TURN, *(FIRST_BYTE + ord(character) for character in characters))


_PLAIN = string.digits + string.ascii_letters + "_-. "
_BETWEEN = _tokens('}]{",:[' + _PLAIN)
"""Between values: close, else begin an object, of which `{}` is the shortest value."""
_WITHIN = _tokens('"' + _PLAIN)
"""Within a text, where any letter may come: close it, else write on."""
_LETTER = FIRST_BYTE + ord("a")
_SEEMS = log(0.5)
"""Of a reply's token: as likely as all others together."""


def allowed(mask: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each token may come next. mask: a bit a token, 32 in a word, the lowest first."""
    bits = np.unpackbits(mask.astype("<i4").view(np.uint8), bitorder="little")
    return bits[:VOCABULARY].astype(bool)


def plainest(mask: NDArray[np.int32]) -> int:
    """The token to say under this mask."""
    may = allowed(mask)
    order = _WITHIN if may[_LETTER] else _BETWEEN
    found = next((token for token in order if may[token]), None)
    if found is not None:
        return found
    return int(may.argmax()) if may.any() else END_OF_TURN


def logprobs(
    sampled: Sequence[Sequence[int]], most: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Token ids and logprobs [requests, most + 1], the request's own token first, and its rank.

    The i-th other token is half as likely as the one before, so that they add up to less than 1.
    """
    width = min(most, VOCABULARY - 1) + 1
    ids = np.zeros((len(sampled), width), np.int32)
    others = [*dict.fromkeys((*LETTERS, *range(VOCABULARY)))][: width + 1]
    for row, tokens in enumerate(sampled):
        own = tokens[-1] if tokens else others[0]
        ids[row] = [own, *(token for token in others if token != own)][:width]
    values = (_SEEMS * (1 + np.arange(width))).astype(np.float32)
    return ids, np.tile(values, (len(sampled), 1)), np.ones(len(sampled), np.int32)
