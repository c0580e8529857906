"""`marsbench capacity`: from options to a search, and from its answer to a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from marsbench.core.backends import choose
from marsbench.core.metrics.goodput import check_alpha
from marsbench.core.workload.arrivals import Arrivals
from marsbench.core.workload.recipe import load_recipe, recipe_names
from marsbench.errors import UsageError
from marsbench.judge.compare.values import gpus_in_words
from marsbench.judge.intervals import fewest
from marsbench.judge.sweep.probes import Search
from marsbench.judge.sweep.spec import SweepFile
from marsbench.problems import first_problem

TRAFFIC = {"arrivals": "arrivals", "tools": "tools", "prefixes": "prefixes"}
HARDWARE = {
    "gpu": "gpu",
    "model": "model",
    "precision": "precision",
    "kv_dtype": "kv_dtype",
    "profile": "hardware",
}
ENGINE = {
    "profile": "engine_profile",
    "block_size": "block_size",
    "kv_blocks": "kv_blocks",
    "step_budget": "step_budget",
    "max_seqs": "max_seqs",
    "memory_fraction": "memory_fraction",
    "tool_cores": "tool_cores",
}
"""By field of a sweep file: the option of `capacity`."""


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
                "workloads": [{"name": workload, **_only(given, TRAFFIC)}],
                "seeds": list(range(1, given["seeds"] + 1)),
                "alphas": [given["alpha"]],
                "hardware": [_only(given, HARDWARE)],
                "engines": [_only(given, ENGINE)],
            }
        )
    except ValidationError as error:
        raise UsageError(first_problem(error)) from error
    return Search(
        file=file,
        sessions=given["sessions"],
        agents=_agents(given),
        share=given["share"],
        tolerance=given["tolerance"],
        jobs=given["jobs"],
        folder=Path.cwd(),
    )


def _only(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The options that were given, under the names that a sweep file has for them."""
    return {field: given[name] for field, name in names.items() if given.get(name) is not None}


def _agents(given: Mapping[str, Any]) -> int | None:
    """How many agents are to be served at once, where GPUs are asked for. Raises UsageError."""
    arrivals = Arrivals.parse(given["arrivals"] or "poisson")
    if arrivals.lanes is not None and not given["gpus"]:
        raise UsageError(
            f"Arrivals 'closed:{arrivals.lanes}' have no rate to search; give --gpus to ask how "
            f"many GPUs {arrivals.lanes} agents need, or choose other arrivals."
        )
    if given["gpus"] and arrivals.lanes is None:
        raise UsageError(
            "--gpus asks how many GPUs a number of agents needs; say how many are at work at "
            "once, for example --gpus --arrivals closed:200."
        )
    return arrivals.lanes


def told(answer: Mapping[str, Any], as_json: bool) -> str:
    """The answer as one JSON object, or in a few lines."""
    if as_json:
        return json.dumps(answer, ensure_ascii=False)
    at = "rate" if answer.get("agents") is None else "lanes"
    unit = "/s" if at == "rate" else ""
    lines = [
        f"{row[at]:>10.4g}{unit:2}  {row.get('sessions', ''):>8}  {row['share']:6.1%}"
        for row in answer["tried"]
    ]
    head = f"{at:>10}    sessions   share"
    return "\n".join([head, *lines, _sentence(answer), _sureness(answer, at)])


def _sentence(answer: Mapping[str, Any]) -> str:
    goal = f"{answer['share']:.0%} of sessions within {answer['alpha']:g} times alone"
    who = f"{answer['backend']} on {answer['workload']}"
    if answer.get("agents") is not None:
        return _gpus(answer, who, goal)
    return _rate(answer, who, goal) + _settled(answer)


def _gpus(answer: Mapping[str, Any], who: str, goal: str) -> str:
    agents = f"{answer['agents']} agents at once under {who}"
    if answer["gpus"] is None:
        return f"{agents}: not even one agent a GPU is enough ({goal})"
    return (
        f"{agents}: {gpus_in_words(answer['gpus'])} ({answer['hardware']}), "
        f"{answer['lanes']} agents on "
        f"each ({goal}); each GPU is played alone, so nothing is said of what a router adds"
    )


def _settled(answer: Mapping[str, Any]) -> str:
    """Whether the number of sessions played a part, as far as is known."""
    rates = [
        f"{row['rate']:g}/s with {row['sessions']}"
        for row in answer.get("by_sessions", ())
        if row["rate"] is not None
    ]
    if answer.get("settled") is None:
        return (
            f"\nwith {answer['sessions']} sessions a run; more may well give less: leave out "
            "--sessions to see whether the answer settles"
        )
    if answer["settled"]:
        return f"\nsettled: {', '.join(rates)} sessions"
    return (
        f"\nnot settled: the answer still moves with the number of sessions ({', '.join(rates)}); "
        "give more with --sessions, and take it for an upper bound"
    )


def _rate(answer: Mapping[str, Any], who: str, goal: str) -> str:
    if answer["rate"] is None:
        return f"capacity of {who}: below {answer['above']:g}/s, the lowest rate tried ({goal})"
    if answer["above"] is None:
        return f"capacity of {who}: {answer['rate']:g}/s or more, the highest rate tried ({goal})"
    return (
        f"capacity of {who}: {answer['rate']:g} sessions/s ({goal}); "
        f"{answer['above']:g}/s is too many"
    )


def _sureness(answer: Mapping[str, Any], at: str) -> str:
    """What is sure of the typical seed, by the rule of `marsbench compare`."""
    seeds, needed = answer["seeds"], fewest()
    if seeds < needed:
        have = "1 seed makes" if seeds == 1 else f"{seeds} seeds make"
        return f"{have} nothing of it sure; give --seeds {needed} or more"
    own = [row for row in answer["tried"] if row.get("sessions") == answer.get("sessions")]
    reached = [row[at] for row in own if row.get("surely") == "reached"]
    missed = [row[at] for row in own if row.get("surely") == "missed"]
    unit = "/s" if at == "rate" else " lanes"
    told = [f"{max(reached):g}{unit} is surely reached"] if reached else []
    told += [f"{min(missed):g}{unit} is surely too many"] if missed else []
    return f"typical seed of {seeds}: {', '.join(told) or 'nothing is sure of what was tried'}"
