"""What stands in where a recording is silent: a tokenizer, and seconds of a tool call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.formats.reading import ReadError

Count = Callable[[str], int]
"""Tokens of a text."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """tokens counts a text's tokens. tool_s: seconds of a tool call whose time is unknown.

    most: so many sessions are enough, where a reader must see many rows to make one.
    """

    tokens: Count | None = None
    tool_s: float | None = None
    most: int | None = None

    def count(self, text: str, of: str) -> int:
        """Tokens of the text. Raises ReadError naming the option when there is no tokenizer."""
        if self.tokens is None:
            raise ReadError(f"{of} has no recorded token count, give --tokenizer NAME_OR_PATH")
        return self.tokens(text)

    def tool_time(self, of: str) -> float:
        """Seconds of a call that nobody timed. Raises ReadError naming the option."""
        if self.tool_s is None:
            raise ReadError(f"{of} has no recorded tool time, give --tool-time SECONDS")
        return self.tool_s


def fallback_of(
    tokenizer: str | None, tool_time: float | None, most: int | None = None
) -> Fallback:
    """What the options say. Raises UsageError for a tokenizer or a time that cannot be."""
    if tool_time is not None and not 0 <= tool_time < 1e9:
        raise UsageError(
            f"--tool-time must be seconds from 0 on, not {tool_time:g}; for example --tool-time 2."
        )
    return Fallback(None if tokenizer is None else load_tokenizer(tokenizer), tool_time, most)


def load_tokenizer(name: str) -> Count:
    """Counts tokens as this tokenizer does: a tokenizer.json, a folder with one, or a hub name.

    Raises UsageError when it cannot be loaded.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise UsageError(
            "--tokenizer needs the package tokenizers, which is not installed; "
            "type `pip install tokenizers`."
        ) from error
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are no news
    path = Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        # The library raises bare Exception for a file that is none and for a name it cannot find.
        found = Tokenizer.from_file(str(file)) if file.exists() else Tokenizer.from_pretrained(name)
    except Exception as error:
        raise UsageError(
            f"Cannot load the tokenizer {name!r} ({_first_line(error)}); give a tokenizer.json or "
            f"a folder with one, or a name that this machine can fetch from the hub."
        ) from error
    return lambda text: len(found.encode(text, add_special_tokens=False).ids)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
