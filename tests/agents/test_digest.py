"""A digest has exactly the tokens that were asked for, and its own for every stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from marsbench.tasks.digest import CLOSE, OPEN, digest
from marsbench.tasks.tokens import FIRST_ID, NUM_IDS, count_tokens, token_ids


@pytest.mark.parametrize("tokens", [0, 1, 12, 100, 5_000])
def test_a_digest_has_its_length(tokens: int, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print('é')\n", encoding="utf-8")
    assert count_tokens(digest(tmp_path, tokens, np.random.default_rng(1))) == tokens


def test_a_digest_begins_with_the_repository_itself(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)\n")
    text = digest(tmp_path, 300, np.random.default_rng(1))
    assert text.startswith(f"{OPEN}=== a.py\nprint(1)\n")
    assert text.endswith(CLOSE)


def test_the_same_stream_gives_the_same_digest_and_another_another(tmp_path: Path) -> None:
    texts = [digest(tmp_path, 500, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_tokens_are_what_a_prefix_cache_needs() -> None:
    longer = token_ids("four" * 20 + "tail")
    assert longer[:20] == token_ids("four" * 20)
    assert len(token_ids("12345")) == count_tokens("12345") == 2
    assert all(FIRST_ID <= i < FIRST_ID + NUM_IDS for i in longer)
    assert token_ids("") == []
