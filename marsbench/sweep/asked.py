"""`marsbench capacity`: from options to a search, and from its answer to a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from marsbench.engine.backends import choose
from marsbench.errors import UsageError
from marsbench.metrics.goodput import check_alpha
from marsbench.problems import first_problem
from marsbench.sweep.capacity import Search
from marsbench.sweep.spec import SweepFile
from marsbench.workload.recipe import load_recipe, recipe_names


def search_of(given: Mapping[str, Any]) -> Search:
    """The options of `capacity` as one value. Raises UsageError for what cannot be."""
    choice, workload = choose(given["backend"], given["set_"] or ()), given["workload"]
    check_alpha(given["alpha"])
    if workload not in recipe_names() and not Path(workload).suffix:
        load_recipe(workload)  # says which recipe was meant
    try:
        file = SweepFile.model_validate(
            {
                "backends": [{"name": given["backend"], "set": dict(choice.settings)}],
                "workloads": [workload],
                "seeds": list(range(1, given["seeds"] + 1)),
                "sessions": given["sessions"],
                "alphas": [given["alpha"]],
                "hardware": [_hardware(given)],
                "engines": [
                    {
                        "profile": given["engine_profile"],
                        "block_size": given["block_size"],
                        "tool_cores": given["tool_cores"],
                    }
                ],
            }
        )
    except ValidationError as error:
        raise UsageError(first_problem(error)) from error
    return Search(
        file=file,
        share=given["share"],
        tolerance=given["tolerance"],
        jobs=given["jobs"],
        folder=Path.cwd(),
    )


def _hardware(given: Mapping[str, Any]) -> dict[str, Any]:
    asked = {"profile": given["hardware"]}
    asked |= {name: given[name] for name in ("gpu", "model", "precision", "kv_dtype")}
    return {name: value for name, value in asked.items() if value is not None}


def told(answer: Mapping[str, Any], as_json: bool) -> str:
    """The answer as one JSON object, or in a few lines."""
    if as_json:
        return json.dumps(answer, ensure_ascii=False)
    lines = [f"{row['rate']:>10.4g}/s  {row['share']:6.1%}" for row in answer["tried"]]
    return "\n".join(["      rate   share", *lines, _sentence(answer)])


def _sentence(answer: Mapping[str, Any]) -> str:
    goal = f"{answer['share']:.0%} of sessions within {answer['alpha']:g} times alone"
    who = f"{answer['backend']} on {answer['workload']}"
    if answer["rate"] is None:
        return f"capacity of {who}: below {answer['above']:g}/s, the lowest rate tried ({goal})"
    if answer["above"] is None:
        return f"capacity of {who}: {answer['rate']:g}/s or more, the highest rate tried ({goal})"
    return (
        f"capacity of {who}: {answer['rate']:g} sessions/s ({goal}); "
        f"{answer['above']:g}/s is too many"
    )
