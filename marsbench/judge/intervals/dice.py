"""Generators named by what they are for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def dice(*name: object) -> np.random.Generator:
    """The same name gives the same draws."""
    import numpy as np

    text = "/".join(map(str, name))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
