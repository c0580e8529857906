"""A digest of a repository for the first prompt: text of an exact number of tokens.

The workspace's own files come first, then generated modules, the same for the same random stream:
stand-ins for the large repositories that real sessions carry in their context.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from marsbench.tasks.tokens import BYTES_PER_TOKEN

OPEN, CLOSE = "<repository-digest>\n", "\n</repository-digest>"
NOUNS = ("account", "batch", "cursor", "digest", "entry", "frame", "ledger", "market", "packet",
         "queue", "record", "route", "shard", "ticket", "window", "worker")  # fmt: skip
VERBS = ("append", "balance", "collect", "divide", "encode", "filter", "gather", "merge", "parse",
         "refresh", "resolve", "rotate", "select", "split", "update", "verify")  # fmt: skip


def digest(workspace: Path, num_tokens: int, rng: np.random.Generator) -> str:
    """A digest of exactly `num_tokens` tokens by the rule of tasks.tokens; "" for none."""
    if num_tokens == 0:
        return ""
    room = num_tokens * BYTES_PER_TOKEN - len(OPEN) - len(CLOSE)
    if room < 0:
        return "#" * (num_tokens * BYTES_PER_TOKEN)
    parts, length = [], 0
    for part in chain(_own_files(workspace), _modules(rng)):
        parts.append(part)
        length += len(part)
        if length >= room:
            break
    return f"{OPEN}{''.join(parts)[:room]}{CLOSE}"


def _own_files(workspace: Path) -> Iterator[str]:
    """The repository's texts, as ASCII, so that a character is a byte."""
    for path in sorted(workspace.rglob("*")):
        if path.is_file() and ".git" not in path.relative_to(workspace).parts:
            text = path.read_bytes()[:8_000].decode("ascii", errors="replace")
            plain = text.encode("ascii", errors="replace").decode()
            yield f"=== {path.relative_to(workspace).as_posix()}\n{plain}\n"


def _modules(rng: np.random.Generator) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        functions = "\n\n".join(_function(rng) for _ in range(int(rng.integers(4, 12))))
        noun = NOUNS[rng.integers(len(NOUNS))]
        yield f'=== src/{noun}_{number:04d}.py\n"""About every {noun}."""\n\n{functions}\n'


def _function(rng: np.random.Generator) -> str:
    verb, noun, other = (str(rng.choice(words)) for words in (VERBS, NOUNS, NOUNS))
    limit, step = rng.integers(1, 10_000, size=2)
    return (
        f"def {verb}_{noun}_{limit}({noun}, {other}):\n"
        f"    total = {step}\n"
        f"    for {other[0]} in {noun}.{other}s:\n"
        f"        if {other[0]}.size > {limit}:\n"
        f"            total += {other[0]}.{verb}({step})\n"
        f"    return total - {noun}.{verb}d"
    )
