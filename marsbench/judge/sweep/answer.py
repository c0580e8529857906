"""The answer of a capacity search: its file, its value, and a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from marsbench.errors import UsageError
from marsbench.judge.intervals import fewest
from marsbench.text.words import with_tools

ANSWER = "capacity.json"


class Capacity(NamedTuple):
    """The highest rate at which the share of sessions within α was reached.

    rate: sessions a second, None when not even the lowest rate tried reached it. above: the
    lowest rate tried that did not, None when every one did. share: what was asked for.
    sessions: of each run. settled: whether twice as many gave the same; None where it was not
    tried. agents, gpus: of a search of GPUs, which has no rate. replicas, router: how many of them
    stand behind which router, or between which numbers the fewest were searched; None where each
    is alone. tp: GPUs that share the model and count as one.
    """

    path: str
    backend: str
    workload: str
    hardware: str
    alpha: float
    share: float
    seeds: int
    rate: float | None
    above: float | None
    probes: int
    sessions: int | None = None
    settled: bool | None = None
    agents: int | None = None
    gpus: int | None = None
    replicas: int | Sequence[int] | None = None
    router: str | None = None
    tp: int = 1

    @property
    def answer(self) -> str:
        """The number in a few words."""
        if self.agents is not None:
            behind = "" if self.router is None else f" behind {self.router}"
            return f"{gpus_in_words(self.gpus, self.tp)}{behind} for {self.agents} agents"
        rate = "under all rates tried" if self.rate is None else f"{self.rate:.4g}/s"
        moving = " (not settled: more sessions a run may give less)"
        return rate + (moving if self.settled is False else "")


def capacity_in(folder: Path) -> Capacity:
    """The result of a capacity search. Raises UsageError for a file that is none."""
    try:
        record = json.loads((folder / ANSWER).read_text("utf-8"))
        fields = {name: record[name] for name in Capacity._fields if name in record}
        return Capacity(**{**fields, "path": str(folder)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{folder / ANSWER} is not the result of a capacity search: {error}; "
            "run `marsbench capacity` again with the same -o."
        ) from error


def gpus_in_words(gpus: int | None, tp: int = 1) -> str:
    """ "1 GPU", "17 GPUs", "3 groups of 4 GPUs", or that no number was enough."""
    if tp > 1:
        return f"{gpus or 'no number of'} group{'' if gpus == 1 else 's'} of {tp} GPUs"
    return "1 GPU" if gpus == 1 else f"{gpus or 'no number of'} GPUs"


def told(answer: Mapping[str, Any], as_json: bool) -> str:
    """The answer as one JSON object, or in a few lines."""
    if as_json:
        return json.dumps(answer, ensure_ascii=False)
    at = "rate" if answer.get("agents") is None else "lanes"
    at = at if at == "rate" or answer.get("router") is None else "replicas"
    unit = "/s" if at == "rate" else ""
    lines = [
        f"{row[at]:>10.4g}{unit:2}  {row.get('sessions', ''):>8}  {row['share']:6.1%}"
        for row in answer["tried"]
    ]
    head = f"{at:>10}    sessions   share"
    return "\n".join([head, *lines, _sentence(answer), _sureness(answer, at)])


def _sentence(answer: Mapping[str, Any]) -> str:
    goal = f"{answer['share']:.0%} of sessions within {answer['alpha']:g} times alone"
    who = f"{answer['backend']} on {with_tools(answer['workload'], answer.get('tools'))}"
    if isinstance(answer.get("replicas"), int):
        who += f", {answer['replicas']} replicas behind {answer['router']}"
    if answer.get("agents") is not None:
        return _gpus(answer, who, goal)
    return _rate(answer, who, goal) + _settled(answer)


def _gpus(answer: Mapping[str, Any], who: str, goal: str) -> str:
    agents = f"{answer['agents']} agents at once under {who}"
    if answer.get("router") is not None:
        return _behind(answer, agents, goal)
    if answer["gpus"] is None:
        return f"{agents}: not even one agent a GPU is enough ({goal})"
    tp = answer.get("tp", 1)
    each = "GPU" if tp == 1 else "group"
    return (
        f"{agents}: {gpus_in_words(answer['gpus'], tp)} ({answer['hardware']}), "
        f"{answer['lanes']} agents on "
        f"each ({goal}); each {each} is played alone, so nothing is said of what a router adds"
    )


def _behind(answer: Mapping[str, Any], agents: str, goal: str) -> str:
    """Of several replicas behind one router."""
    tp = answer.get("tp", 1)
    if answer["gpus"] is None:
        most = gpus_in_words(answer["replicas"][1], tp)
        return f"{agents}: {most} behind {answer['router']} are not enough ({goal})"
    return (
        f"{agents}: {gpus_in_words(answer['gpus'], tp)} ({answer['hardware']}) behind "
        f"{answer['router']} ({goal})"
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
    if at == "replicas":
        told = [f"{min(reached):g} replicas are surely enough"] if reached else []
        told += [f"{max(missed):g} are surely too few"] if missed else []
        return f"typical seed of {seeds}: {', '.join(told) or 'nothing is sure of what was tried'}"
    unit = "/s" if at == "rate" else " lanes"
    told = [f"{max(reached):g}{unit} is surely reached"] if reached else []
    told += [f"{min(missed):g}{unit} is surely too many"] if missed else []
    return f"typical seed of {seeds}: {', '.join(told) or 'nothing is sure of what was tried'}"
