"""What a model that is not there says under a grammar, and the form of its logprobs."""

from __future__ import annotations

import numpy as np

from marsbench.serve.grammar import allowed, logprobs, plainest
from marsbench.serve.model_folder import END_OF_TURN, FIRST_BYTE, VOCABULARY


def mask_of(*tokens: int) -> np.ndarray:
    bits = np.zeros(VOCABULARY, np.uint8)
    bits[list(tokens)] = 1
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)


def byte(character: str) -> int:
    return FIRST_BYTE + ord(character)


def test_a_mask_is_read_bit_by_bit() -> None:
    may = allowed(mask_of(0, 31, 32, VOCABULARY - 1))
    assert np.flatnonzero(may).tolist() == [0, 31, 32, VOCABULARY - 1]


def test_a_reply_ends_where_it_may_and_closes_what_is_open() -> None:
    assert plainest(mask_of(END_OF_TURN, byte("}"), byte("a"))) == END_OF_TURN
    assert plainest(mask_of(byte("a"), byte('"'), byte("\\"))) == byte('"')
    assert plainest(mask_of(byte(","), byte("}"), byte("1"))) == byte("}")
    assert plainest(mask_of(byte("\n"), byte("7"))) == byte("7")
    assert plainest(mask_of(byte('"'), byte("{"), byte("t"))) == byte("{"), "any value: an object"
    assert plainest(mask_of(*map(byte, 'a{}",'))) == byte('"'), "within a text braces are text"
    assert plainest(mask_of(*map(byte, "a{}5"))) == byte("5")
    assert plainest(mask_of(900)) == 900
    assert plainest(mask_of()) == END_OF_TURN


def test_logprobs_are_those_of_a_distribution() -> None:
    ids, values, ranks = logprobs([[byte("q")], [], [0]], 5)
    assert ids.shape == values.shape == (3, 6)
    assert ids[:, 0].tolist() == [byte("q"), ids[1, 0], 0]
    assert all(len(set(row)) == 6 for row in ids.tolist())
    assert (np.exp(values).sum(axis=1) <= 1).all()
    assert ranks.tolist() == [1, 1, 1]
    assert logprobs([[1]], VOCABULARY)[0].shape == (1, VOCABULARY)
