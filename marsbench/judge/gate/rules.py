"""Rules from options and from a TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from marsbench.core.metrics.goodput import check_alpha
from marsbench.errors import UsageError
from marsbench.judge.compare.figures import LATENCY, Figure
from marsbench.judge.compare.kinds import KINDS, Better
from marsbench.judge.gate.values import CONFIDENCE, GateRules, Margin, Rule

DEFAULT_ALPHA = 3.0
DEFAULT_MARGIN = "5%"
SHORT = {"latency": LATENCY, "slowdown": Figure("slowdown_mean")}
"""What may be said for short; "goodput" and "goodput_rate" are taken at the rule's α."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    margin: str | float = DEFAULT_MARGIN
    alpha: float | None = None
    better: Better | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    rules: Annotated[tuple[_Entry, ...], Field(min_length=1)]
    alpha: float = DEFAULT_ALPHA
    confidence: float = CONFIDENCE


def parse_margin(text: str | float) -> Margin:
    """ "5%" is a share of the baseline, "0.05" an amount in the figure's own unit.

    Raises UsageError for what is neither, or below 0.
    """
    given = str(text).strip()
    relative = given.endswith("%")
    try:
        size = float(given.removesuffix("%"))
    except ValueError:
        size = math.nan
    if not 0 <= size < math.inf:
        raise UsageError(
            f"A margin must be a share of the baseline or an amount, 0 or more, not {given!r}; "
            "for example --margin 5% or --margin 0.02."
        )
    return Margin(size / 100 if relative else size, relative)


def rule_of(
    metric: str | Figure,
    margin: str | float = DEFAULT_MARGIN,
    alpha: float = DEFAULT_ALPHA,
    better: Better | None = None,
) -> Rule:
    """A rule on one figure.

    Raises UsageError for a name that is no figure, one without a better side, or a bad margin.
    """
    figure = _figure(metric, alpha)
    side = better or figure.better
    if side is None:
        raise UsageError(
            f"{figure} has no better side of its own; say which in a --rules file, with "
            'better = "lower" or better = "higher".'
        )
    return Rule(figure, side, parse_margin(margin))


def _figure(metric: str | Figure, alpha: float) -> Figure:
    if isinstance(metric, Figure):
        return metric
    if metric in KINDS and KINDS[metric].at_alpha:
        return Figure(metric, check_alpha(alpha))
    figure = SHORT.get(metric) or Figure.parse(metric)
    if figure.alpha is not None:
        check_alpha(figure.alpha)
    return figure


def read_rules(path: Path) -> GateRules:
    """The rules in a file. Raises UsageError naming the file and what is wrong in it."""
    try:
        fields: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        file = _File.model_validate(fields)
        rules = tuple(
            rule_of(e.metric, e.margin, file.alpha if e.alpha is None else e.alpha, e.better)
            for e in file.rules
        )
        return GateRules(rules, file.confidence)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"Cannot read the rules {path} ({why}); give a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
