"""Reads Azure's LLM inference traces (CSV): when requests arrived, and how long they were.

A request has no session, no tools and no text, so a trace gives arrival times to the sessions of
a workload, or sessions of one round. Traces of 2023 write local times with ten-millionths of a
second, those of 2024 a zone and millionths, which whole seconds have not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format
from marsbench.formats.reading import Contents, ReadError, SessionSource, failed
from marsbench.formats.request_rows import (
    Request,
    Row,
    ready,
    recognised_by,
    requests_of,
    single_round,
    tokens_in,
)

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d{1,12})?(Z|[+-]\d\d:?\d\d)?")


def azure_requests(path: Path, most: int | None = None) -> Iterator[Request | SessionSource]:
    """The requests in order of arrival, and sources that fail for rows that are none.

    most: so many of the first rows are enough. Raises ReadError when the file is no such trace.
    """
    return requests_of(path, COLUMNS, _row, most)


def _row(cells: Sequence[str]) -> Row:
    time, prompt, output = cells
    found = tokens_in(prompt), tokens_in(output)
    if found[0] < 1:
        raise ValueError(f"{prompt} prompt and {output} output tokens")
    return Row(*_at(time), found[0], max(1, found[1]))


def _at(cell: str) -> tuple[int, float]:
    """Whole seconds since 1970, and the rest of one; a time without a zone is taken as UTC."""
    match = _TIME.fullmatch(cell)
    if match is None:
        raise ValueError(f"{cell[:40]!r} is no time")
    whole, fraction, zone = match.groups()
    at = datetime.fromisoformat(whole + (zone or ""))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return math.floor(at.timestamp()), float(f"0{fraction}") if fraction else 0.0


def read_single(path: Path, fallback: Fallback) -> Contents:
    """Each request as a session of one round."""
    note = f"{path}: each request is a session of one round"
    return Contents(_sources(path, azure_requests(path, fallback.most)), (note,))


def _sources(path: Path, found: Iterator[Request | SessionSource]) -> Iterator[SessionSource]:
    name, number = path.name.partition(".")[0], 0
    try:
        for one in found:
            if isinstance(one, SessionSource):
                yield one
                continue
            yield ready(single_round(one, f"{name}-{number:05d}"), path)
            number += 1
    except ReadError as error:
        yield failed(str(path), error)


FORMAT = Format(
    name="azure",
    title="an Azure LLM inference trace",
    tried=("AzureLLMInferenceTrace 2023 (2023-11)", "2024, one week (2024-05)"),
    recognise=partial(recognised_by, COLUMNS),
    read=read_single,
    has_arrivals=True,
)
