"""What a reader of a format gives: sessions, and what the recording itself says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marsbench.core.session import Session
from marsbench.core.workload.files import Header
from marsbench.problems import first_problem, json_problem

Tokens = Annotated[int, Field(ge=0, le=10**9)]
"""A recorded count of tokens, of no model's context and of no typing error's."""

Instant = Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]
"""Seconds, or milliseconds, after whatever beginning the recording's clock has."""

Duration = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]


class Record(BaseModel):
    """A record of another's format: it may grow, but what we read of it must be as we know it."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a recording says of a session, against which the session is held (`checks.py`).

    span_s: seconds from its first time stamp to its last; None where it has no clock.
    tick_s: how coarse that clock is: one gap between two of its instants may be wrong by this.
    num_calls: LLM calls that it counts (usage records, cost entries, a counter), those of
        sub-agents included; None where it counts none.
    calls_s: seconds that all those calls took, where it says so.
    cached_tokens, reasoning_tokens: of all prompts those that were read from a cache, and of all
        outputs those that were reasoning; None where it does not say.
    """

    span_s: float | None = None
    tick_s: float = 0.0
    num_calls: int | None = None
    calls_s: float | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Repair:
    """A small anomaly of a recording, and what was taken for it.

    kind: a few fixed words, by which repairs are counted. detail: a sentence with the numbers;
    it may name what the recording names, and is shown but never written.
    """

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One recorded session, and what its recording says of it.

    notes: what a reader of the session should know; nothing was left out or changed for it.
    unawaited: sub-agents that nothing in it waits for; they are left out.
    """

    session: Session
    notes: tuple[str, ...] = ()
    unawaited: int = 0
    stated: Stated = Stated()
    repairs: tuple[Repair, ...] = ()


class ReadError(Exception):
    """A file or row that cannot be a session; the message names the line or field."""


@dataclass(frozen=True, slots=True)
class SessionSource:
    """A file or a row of one: how a problem names it, and what makes a session of it."""

    where: str
    read: Callable[[], Reading]


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in one file or folder.

    sources: in the file's order, made as they are asked for: what was read is given up.
    notes: what a reader of all its sessions should know, such as the dialect that was found.
    header: what a file of ours says of the workload that it was exported from.
    has_arrivals: False where its sessions have no recorded arrivals, although the format has.
    """

    sources: Iterable[SessionSource]
    notes: tuple[str, ...] = ()
    header: Header | None = None
    has_arrivals: bool = True


T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
_LONE = re.compile("[\ud800-\udfff]")


def json_of(text: str | bytes) -> Any:
    """The JSON of a text. Raises ReadError saying where it is none, and what to do.

    Half of a pair of surrogates is no character; it becomes U+FFFD.
    """
    try:
        # Not json.loads(bytes), which takes what is not UTF-8 for UTF-16.
        whole = text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text
        value = json.loads(whole)
    except (ValueError, RecursionError) as error:
        said = json_problem(error)
        raise ReadError(said + _cure(said)) from error
    return _mended(value) if _escapes_surrogates(text) else value


_CURES = {
    "is empty": "give the file as its tool wrote it",
    "is no JSON": "give the file as its tool wrote it",
    "is cut short": "copy or export it again",
    "goes on": "give each record a line",
}


def _cure(said: str) -> str:
    """What to do about what is wrong with a text."""
    return next((f"; {cure}" for begin, cure in _CURES.items() if said.startswith(begin)), "")


def _escapes_surrogates(text: str | bytes) -> bool:
    if isinstance(text, bytes):
        return b"\\ud" in text or b"\\uD" in text or b"\xed" in text
    return "\\ud" in text or "\\uD" in text or _LONE.search(text) is not None


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


def record_of(model: type[Model], value: Any, tags: tuple[str, ...] = ()) -> Model:
    """The value as a record of that model. Raises ReadError naming the field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ReadError(first_problem(error, tags)) from error


def each_read(
    texts: Iterable[tuple[str, str | bytes]], read: Callable[[Any], T], repairs: list[Repair]
) -> Iterator[T]:
    """What `read` makes of the JSON of each; one that it refuses costs itself alone."""
    for _, text in texts:
        try:
            record = read(json_of(text))
        except ReadError as error:
            repairs.append(Repair("a line that cannot be read", str(error)))
        else:
            yield record


def failed(where: str, error: ReadError) -> SessionSource:
    """A source that is known to be unreadable: it becomes one problem among the others."""

    def read() -> Reading:
        raise error

    return SessionSource(where, read)


def sources_of(
    records: Iterable[tuple[str, bytes]], read: Callable[[Any, str], Reading], whole: str
) -> Iterator[SessionSource]:
    """A source for every record of a file; `read` gets its JSON and its place.

    whole: how a problem names the file, where it cannot be read or is damaged further on.
    """

    def reading(place: str, text: bytes) -> Callable[[], Reading]:
        return lambda: read(json_of(text), place)

    try:
        for place, text in records:
            yield SessionSource(place, reading(place, text))
    except ReadError as error:
        yield failed(whole, error)
