"""An advice as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from marsbench.advise.advise import Advice, cautions_of
from marsbench.advise.traffic import facts_of
from marsbench.advise.verdict import FCFS, AtLoad, ChoiceRow
from marsbench.advise.words import depends, summary, sureness
from marsbench.judge.compare.documents import flat

FORMAT = 1


def record(advice: Advice) -> dict[str, Any]:
    """Numbers beside the sentences that are made of them."""
    found = advice.verdict
    return {
        "marsbench_advise": FORMAT,
        "choice": found.choice,
        "holds": found.holds,
        "hardware": advice.world.hardware.id,
        "alpha": found.good.alpha,
        "seeds": advice.seeds,
        "summary": summary(advice),
        "sureness": sureness(advice),
        "depends": depends(advice),
        "traffic": dict(facts_of(advice.traffic)),
        "today": _at_load(found.today),
        "twice": _at_load(found.twice),
        "capacity": [asdict(one) for one in advice.carried],
        "cautions": cautions_of(advice, (FCFS, found.choice)),
    }


def as_json(advice: Advice) -> str:
    """One JSON object on one line."""
    return json.dumps(record(advice), ensure_ascii=False, allow_nan=False) + "\n"


def _at_load(at: AtLoad) -> dict[str, Any]:
    return {
        "level": list(at.level),
        "backends": {row.backend: dict(_figures(row)) for row in at.rows},
        "winners": {str(figure): list(one.names) for figure, one in at.winners.items()},
    }


def _figures(row: ChoiceRow) -> Iterator[tuple[str, dict[str, Any]]]:
    """By figure: mean, typical seed and its interval, and the same against fcfs."""
    for figure, own in row.figures.items():
        against = row.against.get(figure)
        told = {name: flat(own).get(name) for name in _OWN}
        beside = {} if against is None else {name: flat(against).get(name) for name in _AGAINST}
        yield str(figure), {**told, **({"to_fcfs": beside} if beside else {})}


_OWN = ("mean", "typical", "typical_low", "typical_high")
_AGAINST = (
    "difference", "ratio", "typical_difference", "typical_difference_low",
    "typical_difference_high", "typical_ratio", "typical_ratio_low", "typical_ratio_high",
    "standing", "ahead",
)  # fmt: skip
