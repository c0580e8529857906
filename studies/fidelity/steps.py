"""Step times out of a server's record: what each step held, how long it took, and a fit to both.

    step = overhead + token x n + pair x sum of chunk x (prefix + chunk/2)
           + request x decodes + kv_token x KV tokens of the decodes

No coefficient is negative. Squared errors count by 1/fitted seconds, fitted in turns: by absolute
errors long steps alone would decide, and by relative ones, or by weights from the measured seconds,
a fit falls short of the total where steps are late at times and never early.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from marsbench.errors import RunFailedError
from marsbench.hardware.steptime import batch_parts

Array = NDArray[np.float64]

TERMS = ("overhead", "token", "pair", "request", "kv_token")
MIN_STEPS = 100
TURNS = 5
AT_LEAST = 1e-15
"""Seconds; a profile's `pair` and `kv_token` may be tiny, but not 0."""


@dataclass(frozen=True, slots=True)
class Step:
    """A recorded step: how often each term is in it, and its seconds without the host's."""

    terms: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """Seconds of each term; of how many steps, and how far off they are at the median."""

    seconds: Mapping[str, float]
    steps: int
    median_error: float


def recorded_steps(lines: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    """Every step of a record of a synchronous engine, in order."""
    prompts: dict[str, int] = {}
    computed: dict[str, int] = {}
    terms: tuple[float, ...] = ()
    began = 0.0
    for line in lines:
        match line["event"]:
            case "submitted":
                prompts[line["request"]] = line["prompt_tokens"]
            case "scheduled":
                computed |= line["started"]
                terms, began = _terms(line["tokens"], computed, prompts), line["at"]
                for request, tokens in line["tokens"].items():
                    computed[request] += tokens
            case "computed" if terms and terms[1]:  # a step may hold nothing
                yield Step(terms, line["at"] - began)


def _terms(
    tokens: Mapping[str, int], computed: Mapping[str, int], prompts: Mapping[str, int]
) -> tuple[float, ...]:
    works = (
        (chunk, computed[request], computed[request] + chunk >= prompts[request])
        for request, chunk in tokens.items()
    )
    decodes, kv_tokens, prefills = batch_parts(works)
    pairs = sum(chunk * (prefix + chunk / 2) for chunk, prefix in prefills)
    return (1.0, sum(tokens.values()), pairs, decodes, kv_tokens)


def host_seconds(lines: Iterable[Mapping[str, Any]]) -> float:
    """Between a step's tokens and the next step of a request that went on, at the median."""
    gaps, last, ended = [], set[str](), 0.0
    for line in lines:
        if line["event"] == "computed":
            ended = line["at"]
        elif line["event"] == "scheduled":
            if last & set(line["tokens"]):
                gaps.append(line["at"] - ended)
            last = set(line["tokens"])
    return float(np.median(gaps)) if gaps else 0.0


def fit(lines: list[dict[str, Any]]) -> Fitted:
    """The terms' seconds, the host's among the overhead. Raises RunFailedError for a few steps."""
    steps = list(recorded_steps(lines))
    if len(steps) < MIN_STEPS:
        raise RunFailedError(f"{len(steps)} recorded steps are too few to fit; play more sessions.")
    terms = np.array([step.terms for step in steps])
    seconds = np.array([step.seconds for step in steps])
    found = _solved(terms, seconds, np.ones(len(steps)))
    for _ in range(TURNS):
        found = _solved(terms, seconds, (terms @ found) ** -0.5)
    error = float(np.median(np.abs(terms @ found / seconds - 1)))
    found[0] += host_seconds(lines)
    named = zip(TERMS, (max(float(s), AT_LEAST) for s in found), strict=True)
    return Fitted(dict(named), len(steps), error)


def _solved(terms: Array, seconds: Array, weights: Array) -> Array:
    """Non-negative least squares, the columns scaled to one length first."""
    weighted = terms * weights[:, None]
    size = np.linalg.norm(weighted, axis=0)
    size[size == 0] = 1.0
    found: Array = nnls(weighted / size, seconds * weights)[0] / size
    return found
