"""Text as token ids where there is no tokenizer: four bytes of UTF-8 are one token.

Stated wherever it is used. Code has about 3.5 to 4 bytes a token with the tokenizers of current
models, so lengths are near theirs and never equal. Equal texts give equal tokens, and a text that
begins like another gives tokens that begin like the other's, which is all that a prefix cache sees.
"""

from __future__ import annotations

import numpy as np

BYTES_PER_TOKEN = 4
RULE = f"{BYTES_PER_TOKEN} bytes of UTF-8 a token"
# The ids that stand for single bytes in the emulated model; every other model has them too.
FIRST_ID, NUM_IDS = 8, 256


def count_tokens(text: str) -> int:
    """How many tokens the text is."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def token_ids(text: str) -> list[int]:
    """The tokens of the text."""
    raw = text.encode()
    padded = raw + b"\0" * (-len(raw) % BYTES_PER_TOKEN)
    words = np.frombuffer(padded, dtype="<u4").astype(np.uint64)
    # Multiplied by 2^32 / golden ratio (Knuth), so that similar words have different ids.
    mixed = (words * np.uint64(2_654_435_769) >> np.uint64(11)) % np.uint64(NUM_IDS)
    ids: list[int] = (mixed + np.uint64(FIRST_ID)).tolist()
    return ids
