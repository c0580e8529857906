"""Random streams, one per purpose, all from one seed.

A stream is named, so that a knob that turns one stream (the rate: arrivals) leaves every other
as it was (the session bodies).
"""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """The generator of this purpose, for example of session `numbers[0]`'s tools."""
    # Python's own hash() of a string differs from process to process.
    key = zlib.crc32(purpose.encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(key, *numbers)))
