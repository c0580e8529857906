"""Clipped mixtures of lognormals: what appends, outputs, rounds and tool times are drawn from.

Everything is drawn by inverting the distribution at uniform numbers, so that one uniform number
means the same rank whatever the parameters are: a recipe with a longer append has longer appends
in the same rounds.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from marsbench.core.workload.exact import Floats, Lines, exp, log, normal_cdf
from marsbench.problems import Strict
from marsbench_backends import exact

Numbers = tuple[float, ...]

_REACH = 8.5
"""Standard deviations beyond which a normal distribution holds less than a double can tell."""

_POINTS = 8193


def phi(z: npt.ArrayLike) -> Floats:
    """The standard normal distribution function, to 2e-7."""
    return _phi_table().at(z)


@cache
def _phi_table() -> Lines:
    grid = np.linspace(-_REACH, _REACH, _POINTS)
    return Lines.through(grid, normal_cdf(grid))


class LogNormals(Strict):
    """A mixture of lognormals; values beyond `clip` are set to its bounds.

    In a recipe either `w`, `mu` and `sigma` as lists (mu and sigma of ln x), or for a single one
    `median` and `sigma`.
    """

    w: tuple[float, ...]
    mu: tuple[float, ...]
    sigma: tuple[Annotated[float, Field(gt=0)], ...]
    clip: tuple[Annotated[float, Field(ge=0)], float]

    @model_validator(mode="before")
    @classmethod
    def _single(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "median" not in fields:
            return fields
        rest = {k: v for k, v in fields.items() if k not in ("median", "sigma")}
        median, sigma = fields["median"], fields.get("sigma")
        if not isinstance(median, int | float) or median <= 0:
            raise ValueError(f"median must be a number above 0, not {median!r}")
        return {**rest, "w": (1.0,), "mu": (exact.log(median),), "sigma": (sigma,)}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not len(self.w) == len(self.mu) == len(self.sigma) > 0:
            raise ValueError("w, mu and sigma must be lists of the same length")
        # Published weights are rounded to three digits; more than that is a typing error.
        if abs(math.fsum(self.w) - 1) > 0.01 or min(self.w) < 0:
            raise ValueError(f"the weights w must add up to 1, not {math.fsum(self.w):g}")
        if self.clip[0] > self.clip[1]:
            raise ValueError(f"clip must be [low, high], not {list(self.clip)}")
        return self

    def cdf(self, x: npt.ArrayLike) -> Floats:
        """The share of values that are at most x."""
        values = np.asarray(x, dtype=np.float64)
        logs = log(np.maximum(values, 1e-300))
        inside = _mixture_cdf(logs, self.w, self.mu, self.sigma)
        return np.where(values >= self.clip[1], 1.0, np.where(values < self.clip[0], 0.0, inside))

    def quantile(self, u: npt.ArrayLike) -> Floats:
        """The values below which the shares u lie."""
        return np.minimum(np.maximum(exp(self.logs(u)), self.clip[0]), self.clip[1])

    def logs(self, u: npt.ArrayLike) -> Floats:
        """ln x of the values below which the shares u lie, before they are clipped."""
        return _quantile_table(self.w, self.mu, self.sigma).at(u)

    def tokens(self, u: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """`quantile`, in whole tokens (or rounds)."""
        return np.rint(self.quantile(u)).astype(np.int64)

    def one_count(self, u: float) -> int:
        """`tokens` of a single share, in a fraction of the time."""
        value = exact.exp(_quantile_table(self.w, self.mu, self.sigma).one(u))
        return round(min(max(value, self.clip[0]), self.clip[1]))


def _mixture_cdf(logs: Floats, w: Numbers, mu: Numbers, sigma: Numbers) -> Floats:
    parts = zip(w, mu, sigma, strict=True)
    total = sum((p * phi((logs - m) / s) for p, m, s in parts), np.zeros(logs.shape))
    return np.asarray(total / math.fsum(w), dtype=np.float64)


@lru_cache(maxsize=128)
def _quantile_table(w: Numbers, mu: Numbers, sigma: Numbers) -> Lines:
    """From the share below x to ln x, densest where the narrowest component is."""
    spans = [
        np.linspace(m - _REACH * s, m + _REACH * s, _POINTS // 4)
        for m, s in zip(mu, sigma, strict=True)
    ]
    logs = np.unique(np.concatenate(spans))
    return Lines.through(_mixture_cdf(logs, w, mu, sigma), logs)


class Bulk(LogNormals):
    """Rare bulk loads: with probability `p` an append is drawn from this instead."""

    p: Annotated[float, Field(ge=0, lt=1)]


class Append(LogNormals):
    """Tokens appended by a tool result: nothing with `p_zero`, a bulk load with `bulk.p`."""

    p_zero: Annotated[float, Field(ge=0, lt=1)] = 0.0
    bulk: Bulk | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.bulk is not None and self.bulk.clip[0] < self.clip[1]:
            raise ValueError("bulk loads must not be smaller than the clip of other appends")
        if self.bulk is not None and self.p_zero + self.bulk.p >= 1:
            raise ValueError("p_zero and bulk.p must leave room for other appends")
        return self

    def quantile(self, u: npt.ArrayLike) -> Floats:
        """As for any distribution: zeros below, bulk loads on top, in one order."""
        share = np.asarray(u, dtype=np.float64)
        p_bulk = 0.0 if self.bulk is None else self.bulk.p
        main = super().quantile(np.clip((share - self.p_zero) / (1 - self.p_zero - p_bulk), 0, 1))
        values = np.where(share < self.p_zero, 0.0, main)
        if self.bulk is None or p_bulk == 0:
            return values
        top = self.bulk.quantile(np.clip((share - (1 - p_bulk)) / p_bulk, 0, 1))
        return np.where(share >= 1 - p_bulk, top, values)
