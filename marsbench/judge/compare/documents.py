"""A comparison as plain values: for JSON, and as tables of one kind of row each."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from marsbench.judge.compare.figures import Figure
from marsbench.judge.compare.points import Place
from marsbench.judge.compare.ranking import told
from marsbench.judge.compare.values import Comparison
from marsbench.judge.intervals import Interval
from marsbench.judge.why.causes import LABELS, Causes

if TYPE_CHECKING:
    import pandas as pd

TABLES = (
    "estimates",
    "differences",
    "rankings",
    "curves",
    "areas",
    "cdf",
    "sizes",
    "tenants",
    "fairness",
    "ttft_by_round",
    "of_oracle",
    "causes",
    "cause_differences",
    "caps",
    "capacities",
)


def as_json(found: Comparison) -> str:
    """One JSON object on one line."""
    return json.dumps(record(found), ensure_ascii=False, allow_nan=False) + "\n"


def record(found: Comparison) -> dict[str, Any]:
    """Every table as a list of flat rows, with what they are of."""
    return {
        "marsbench_compare": 1,
        "baseline": found.baseline,
        "alphas": list(found.alphas),
        "confidence": found.confidence,
        "backends": list(found.backends),
        "places": [{"title": found.matrix.title(p), **p._asdict()} for p in found.places],
        "sources": [
            _plain({f.name: getattr(source, f.name) for f in dataclasses.fields(source)})
            for source in found.sources
        ],
        **{name: [_plain(flat(row)) for row in getattr(found, name)] for name in TABLES},
        "held": {
            dimension: [{**row._asdict(), "verdict": row.verdict} for row in rows]
            for dimension, rows in found.held.items()
        },
        "cautions": list(found.cautions),
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    """JSON has no infinity and no NaN: what is neither known nor finite is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value._asdict() if hasattr(value, "_asdict") else value


def frame(rows: Sequence[Any]) -> pd.DataFrame:
    """Rows as a table: place and intervals spread into columns ("difference_low"), NaN for None.

    Besides the fields of its place each row has `title`, as "ilr-1 at load 0.9".
    """
    import pandas as pd

    return pd.DataFrame([flat(row) for row in rows])


def flat(row: Any) -> dict[str, Any]:
    """One row as plain fields."""
    fields: dict[str, Any] = {}
    for name, value in row._asdict().items():
        if isinstance(value, Place):
            fields |= {"title": value.title, **value._asdict()}
        elif name == "order":
            fields |= {"order": [n for level in value for n in level], "told": told(value)}
        elif isinstance(value, Figure):
            fields |= {name: str(value)}
        elif isinstance(value, Causes):
            fields |= {cause: getattr(value, cause) for cause in LABELS}
        elif isinstance(value, Interval):
            fields |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            fields[name] = value
    return fields
