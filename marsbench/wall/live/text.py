"""Prompts as text of an exact number of tokens: words that are one token each."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np

from marsbench.core.session import Prompt, Session
from marsbench.errors import UsageError
from marsbench.wall.live.prompts import Writers, stream
from marsbench.wall.server import ANSWER_S, Server, headers

Count = Callable[[str], int]
CountLater = Callable[[str], Awaitable[int]]
# Common enough to be one token, with the space before it, in about every vocabulary; those that
# are not are left out.
WORDS = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FEWEST_UNITS = 16


@dataclass(frozen=True)
class Units:
    """Pieces of text that are one token each, however many stand in a row.

    lead: tokens that the tokenizer writes before them all: a space, by those of Llama 2's kind.
    """

    texts: Sequence[str]
    lead: int = 0


@dataclass(frozen=True)
class Tokenizer:
    """Counts tokens, and knows pieces of text of one token each."""

    count: CountLater
    units: Units


def server_units(server: Server) -> Units:
    """Units of the server's tokenizer, by its /tokenize. Raises UsageError when it has none."""
    try:
        with httpx.Client(timeout=ANSWER_S, headers=headers(), trust_env=False) as client:
            return units(lambda text: _counted(client.post(**_question(server, text))))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise UsageError(
            f"{server.root} cannot count tokens (no /tokenize), so text of an exact length cannot "
            "be made; give its tokenizer with --prompts text:tokenizer.json, or use --prompts ids."
        ) from error


def server_count(server: Server, client: httpx.AsyncClient) -> CountLater:
    """Counts by asking the server."""

    async def count(text: str) -> int:
        return _counted(await client.post(**_question(server, text), headers=headers()))

    return count


def _question(server: Server, text: str) -> dict[str, Any]:
    """What is posted to learn how many tokens the text is."""
    body = {"model": server.model, "prompt": text, "add_special_tokens": False}
    return {"url": f"{server.root}/tokenize", "json": body}


def _counted(answer: httpx.Response) -> int:
    answer.raise_for_status()
    return int(answer.json()["count"])


def file_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer.json, read by Hugging Face's tokenizers. Raises UsageError when it cannot be."""
    try:
        from tokenizers import Tokenizer as Read
    except ImportError as error:
        raise UsageError("--prompts text:FILE needs `pip install tokenizers`.") from error
    try:
        read = Read.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise UsageError(f"{path} is not a tokenizer.json: {error}") from error

    # Some files carry the limits of their training along, which would cut a prompt or fill it up.
    read.no_truncation()
    read.no_padding()

    def count(text: str) -> int:
        return len(read.encode(text, add_special_tokens=False).ids)

    async def count_later(text: str) -> int:
        return count(text)

    return Tokenizer(count_later, units(count))


def units(count: Count) -> Units:
    """Common words after a space; or, where the tokens are bytes, letters."""
    for candidates in ([f" {word}" for word in WORDS], list(LETTERS)):
        for lead in (0, 1):
            found = candidates
            if count("".join(candidates)) != lead + len(candidates):
                found = [unit for unit in candidates if count(unit * 4) == lead + 4]
            if len(found) >= FEWEST_UNITS and count("".join(found)) == lead + len(found):
                return Units(found, lead)
    raise UsageError(
        "The tokenizer has hardly a common word of one token, so text of an exact length "
        "cannot be made; use --prompts ids."
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a context; `units` are its tokens as text, where they are known."""

    tokens: int
    text: str
    units: list[str] | None = None


class TextContext:
    """A context as pieces of known length: units of the writers' streams, and answers.

    begin: the position of the text's first unit; None takes the tokenizer's.
    """

    def __init__(self, session: Session, tokenizer: Tokenizer, begin: int | None = None) -> None:
        self._writers = Writers(session)
        self._tokenizer = tokenizer
        self._pieces: list[_Piece] = []
        self._begin = tokenizer.units.lead if begin is None else begin
        self._length = self._begin
        self._epoch = 0

    def prompt(self, prompt: Prompt) -> bytes:
        if prompt.epoch != self._epoch:
            self._cut(prompt.kept_tokens)
            self._epoch = prompt.epoch
        self._cut(prompt.num_tokens)  # an answer may be longer as text than it was as tokens
        last = max(prompt.num_tokens, self._begin + 1)  # no server takes an empty text
        self._fill(self._writers, last, prompt.epoch)
        return json.dumps("".join(piece.text for piece in self._pieces)).encode()

    def fork(self, child: Session) -> Self:
        forked = copy(self)
        forked._pieces, forked._writers, forked._epoch = [*self._pieces], Writers(child), 0
        forked._cut(child.fork_tokens)
        forked._fill(self._writers, child.fork_tokens, self._epoch)
        return forked

    async def answered(self, token_ids: list[int] | None, text: str, prompt: Prompt) -> None:
        """Takes the answer as it was written, with the length that it has as part of a prompt."""
        if text:
            tokens = await self._tokenizer.count(text) - self._tokenizer.units.lead
            self._add(_Piece(tokens, text))

    def _fill(self, writers: Writers, length: int, epoch: int) -> None:
        units = self._tokenizer.units.texts
        for writer, begin, end in writers.parts(self._length, length, epoch):
            chosen = stream(writer, begin, end) % np.uint64(len(units))
            self._add_units([units[int(number)] for number in chosen])

    def _add_units(self, units: list[str]) -> None:
        self._add(_Piece(len(units), "".join(units), units))

    def _add(self, piece: _Piece) -> None:
        self._pieces.append(piece)
        self._length += piece.tokens

    def _cut(self, kept: int) -> None:
        """Keeps whole pieces, and of the last one the units that fit; half an answer is none."""
        while self._pieces and self._length > kept:
            piece = self._pieces.pop()
            self._length -= piece.tokens
            if piece.units is not None and self._length < kept:
                self._add_units(piece.units[: kept - self._length])
