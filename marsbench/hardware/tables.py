"""Step time from measured tables: interpolated inside the measured grid, physical beyond it.

    rest      linear between measured numbers of tokens; beyond, the last slope (FLOPs over rate)
    prefill   time per chunk token is linear between measured chunks, and linear in the prefix;
              beyond 16,384 tokens of chunk + prefix, pairs of tokens over the rate of the largest
              measured chunk
    decode    linear in KV tokens between powers of two and in requests between measured ones;
              beyond, KV tokens over the bandwidth that the longest measured contexts reach (that
              of the same number of requests while they are too few to keep the memory busy)

Prefill and decode grow linearly between powers of two, so that a look-up is a list indexed by
`int.bit_length`, a multiplication and an addition. Rows are computed once per chunk length and per
number of requests.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cache
from importlib import resources
from itertools import accumulate, pairwise

from pydantic import Field, PositiveFloat, PositiveInt

from marsbench.problems import Strict

MICRO = 1e-6
BITS = 40
"""Segments of a row: enough for 2^39 tokens."""
SATURATED_REQUESTS = 4
"""From so many requests at their longest measured context, decode attention is bandwidth-bound."""

Segment = tuple[float, float]
"""(value at zero, slope): seconds as a line in tokens."""


class RestTable(Strict):
    tokens: list[PositiveInt]
    us: list[PositiveFloat]


class PrefillTable(Strict):
    chunks: list[PositiveInt]
    prefixes: list[int]
    us: list[list[PositiveFloat | None]]


class DecodeTable(Strict):
    requests: list[PositiveInt]
    contexts: list[PositiveInt]
    us: list[list[PositiveFloat | None]]


class TableSource(Strict):
    """Where a table's numbers come from."""

    profile: str
    package: str
    version: str
    licence: str
    measured_with: str
    source_model: str
    quantization: dict[str, str]
    sources_sha256: dict[str, str]
    table_sha256: str
    command: str
    parallel: dict[str, int] = Field(default_factory=dict)


class StepTable(Strict):
    """Three measured curves of a step, in microseconds at the nodes of a grid."""

    provenance: TableSource
    rest: RestTable
    prefill: PrefillTable
    decode: DecodeTable

    @property
    def longest_prefill(self) -> int:
        """Tokens of chunk and prefix together, up to which prefill attention was measured."""
        return max(self.prefill.chunks)

    @property
    def longest_decode(self) -> int:
        """Tokens of one request's context, up to which decode attention was measured."""
        return max(self.decode.contexts)


@cache
def load_table(name: str) -> StepTable | None:
    """The table that ships for e.g. "h200-qwen3-coder-30b-bf16", None where there is none."""
    folder = resources.files("marsbench.hardware").joinpath("data", "steptime")
    file = folder.joinpath(f"{name}.json")
    return StepTable.model_validate_json(file.read_text("utf-8")) if file.is_file() else None


def line(x0: float, y0: float, x1: float, y1: float) -> Segment:
    slope = (y1 - y0) / (x1 - x0)
    return y0 - slope * x0, slope


def interpolate(xs: list[int], ys: list[float], x: float) -> float:
    """Linear between nodes, constant before the first, the last slope after the last."""
    if x <= xs[0]:
        return ys[0]
    i = min(bisect_left(xs, x), len(xs) - 1)
    start, slope = line(xs[i - 1], ys[i - 1], xs[i], ys[i])
    return start + slope * x


class TableRest:
    """Everything but attention, in seconds, of a step of n tokens."""

    def __init__(self, table: RestTable) -> None:
        self._tokens = table.tokens
        # More tokens never take less; where they were measured to, that is noise.
        self._values = list(accumulate((us * MICRO for us in table.us), max))

    def seconds(self, num_tokens: int) -> float:
        return interpolate(self._tokens, self._values, num_tokens) if num_tokens else 0.0

    def facts(self) -> dict[str, object]:
        return {"tokens": self._tokens, "s": self._values}


class TablePrefill:
    """Attention of a chunk on its prefix, beyond `once_s` that a step with prefills takes."""

    def __init__(self, table: PrefillTable, factor: float = 1.0) -> None:
        self._table = table
        self._factor = factor
        floor = table.us[0][0] or 0.0
        largest = table.us[-1][0] or 0.0
        self.once_s = floor * MICRO * factor
        self._pair_us = 2 * (largest - floor) / (table.chunks[-1] * table.chunks[-1])
        self._grid = [self._measured(i, floor) for i in range(len(table.chunks))]
        starts = [2 ** (bits - 1) if bits else 0 for bits in range(BITS)]
        self._segments = [bisect_right(table.prefixes, start) - 1 for start in starts]
        self._rows: dict[int, list[Segment]] = {}

    def seconds(self, chunk: int, prefix: int) -> float:
        row = self._rows.get(chunk)
        if row is None:
            row = self._rows[chunk] = self._row(chunk)
        start, slope = row[prefix.bit_length()]
        return start + slope * prefix

    def scaled(self, factor: float) -> TablePrefill:
        return TablePrefill(self._table, self._factor * factor)

    def facts(self) -> dict[str, object]:
        return {**self._table.model_dump(), "factor": self._factor}

    def _measured(self, index: int, floor: float) -> list[float]:
        """A chunk's microseconds beyond the floor, at every prefix of the grid."""
        chunk, prefixes = self._table.chunks[index], self._table.prefixes
        values = [us for us in self._table.us[index] if us is not None]
        last = len(values) - 1
        for prefix in prefixes[len(values) :]:
            values.append(values[last] + chunk * (prefix - prefixes[last]) * self._pair_us)
        return list(accumulate((max(0.0, us - floor) for us in values), max))

    def _row(self, chunk: int) -> list[Segment]:
        prefixes = self._table.prefixes
        values = [us * MICRO * self._factor for us in self._at_chunk(chunk)]
        slope = chunk * self._pair_us * MICRO * self._factor
        lines = [
            line(x0, y0, x1, y1)
            for (x0, x1), (y0, y1) in zip(pairwise(prefixes), pairwise(values), strict=True)
        ]
        lines.append((values[-1] - slope * prefixes[-1], slope))
        return [lines[index] for index in self._segments]

    def _at_chunk(self, chunk: int) -> list[float]:
        """Microseconds at the grid's prefixes; per token they are nearly linear in the chunk."""
        chunks, grid = self._table.chunks, self._grid
        if chunk > chunks[-1]:
            more = chunk * (chunk - chunks[-1]) * 0.5 * self._pair_us
            return [us * chunk / chunks[-1] + more for us in grid[-1]]
        per_token = [
            interpolate(chunks, [row[i] / n for n, row in zip(chunks, grid, strict=True)], chunk)
            for i in range(len(self._table.prefixes))
        ]
        return [us * chunk for us in per_token]


class TableDecode:
    """Attention of n decodes that read so many KV tokens in all."""

    once_s = 0.0

    def __init__(self, table: DecodeTable, factor: float = 1.0) -> None:
        self._table = table
        self._factor = factor
        self._token_us = _saturated_slope(table)
        self._grid = [self._measured(i) for i in range(len(table.requests))]
        self._rows: dict[int, list[Segment]] = {}

    def seconds(self, num_decodes: int, kv_tokens: int) -> float:
        row = self._rows.get(num_decodes)
        if row is None:
            row = self._rows[num_decodes] = self._row(num_decodes)
        start, slope = row[kv_tokens.bit_length()]
        return start + slope * kv_tokens

    def scaled(self, factor: float) -> TableDecode:
        return TableDecode(self._table, self._factor * factor)

    def facts(self) -> dict[str, object]:
        return {**self._table.model_dump(), "factor": self._factor}

    def _measured(self, index: int) -> list[float]:
        """Microseconds of a number of requests at 1, 2, 4, 8 … KV tokens of all of them."""
        requests = self._table.requests[index]
        values = [us for us in self._table.us[index] if us is not None]
        kv = [requests * context for context in self._table.contexts[: len(values)]]
        values = list(accumulate(values, max))
        slope = self._token_us
        if requests < SATURATED_REQUESTS:
            slope = (values[-1] - values[-2]) / (kv[-1] - kv[-2])
        return [
            interpolate(kv, values, 2**bit)
            if 2**bit <= kv[-1]
            else values[-1] + (2**bit - kv[-1]) * slope
            for bit in range(BITS)
        ]

    def _row(self, num_decodes: int) -> list[Segment]:
        requests = self._table.requests
        near = min(num_decodes, requests[-1])
        values = [
            interpolate(requests, [row[bit] for row in self._grid], near) * MICRO * self._factor
            for bit in range(BITS)
        ]
        lines = [
            line(2**bit, values[bit], 2 ** (bit + 1), values[bit + 1]) for bit in range(BITS - 1)
        ]
        # bit_length 0 is no KV at all, 1 is one token, and so on.
        return [(values[0], 0.0), *lines]


def _saturated_slope(table: DecodeTable) -> float:
    """Microseconds per KV token where long contexts keep the memory busy: bytes over bandwidth."""
    rise = run = 0.0
    for requests, row in zip(table.requests, table.us, strict=True):
        values = [us for us in row if us is not None]
        if requests >= SATURATED_REQUESTS and table.contexts[len(values) - 1] >= 2048:
            context = table.contexts[len(values) - 1]
            rise += values[-1] - values[-2]
            run += requests * context / 2
    return rise / run
