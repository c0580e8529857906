"""All that a router was asked and told, and what it answered, as a file: it can be asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from marsbench.replicas.router import (
    Placement,
    ReplicaView,
    RoundKey,
    RoundToPlace,
    Router,
    Segment,
)


class RecordedRouter(Router):
    """A router with a record, one JSON object a call: `route` with its answer, and what it learns.

    A call is written before the router learns of it, and is on the disk when it has.
    """

    def __init__(self, router: Router, file: TextIO) -> None:
        super().__init__(router.snapshot_age_s, router.kv_event_delay_s, router.resends)
        self._router = router
        self._file = file
        # What kind it is stands at the class elsewhere, and is its router's here.
        self.hears_kv_events = router.hears_kv_events  # type: ignore[misc]
        self.reads_prompts = router.reads_prompts  # type: ignore[misc]

    def route(self, ask: RoundToPlace, replicas: Sequence[ReplicaView]) -> int | Placement:
        drawn: list[int] = []

        def draw(below: int) -> int:
            drawn.append(ask.draw(below))
            return drawn[-1]

        answer = self._router.route(replace(ask, draw=draw), replicas)
        shown = [view._asdict() for view in replicas]
        self._write("route", ask=_facts(ask), views=shown, drawn=drawn, answer=answer)
        return answer

    def placed(self, ask: RoundToPlace, replica: int) -> None:
        self._write("placed", ask=_facts(ask), args=[replica])
        self._router.placed(ask, replica)

    def first_token(self, key: RoundKey, now: float) -> None:
        self._write("first_token", args=[key, now])
        self._router.first_token(key, now)

    def lost(self, key: RoundKey) -> None:
        self._write("lost", args=[key])
        self._router.lost(key)

    def gone(self, replica: int) -> None:
        self._write("gone", args=[replica])
        self._router.gone(replica)

    def _write(self, call: str, **facts: Any) -> None:
        self._file.write(json.dumps({"call": call, **facts}) + "\n")
        self._file.flush()


def recorded(router: Router, path: Path | None) -> Router:
    """The router, which writes to the file if there is to be one."""
    return router if path is None else RecordedRouter(router, path.open("w", encoding="utf-8"))


class Rerouted(NamedTuple):
    """A round that was routed, and routed again. key: which one."""

    key: RoundKey
    was: int
    again: int | Placement


def routed_again(lines: Iterable[Mapping[str, Any]], router: Router) -> Iterator[Rerouted]:
    """A record's calls to a fresh router of the same class: what it answers now."""
    for line in lines:
        if line["call"] == "route":
            ask = _ask(line["ask"], iter(line["drawn"]).__next__)
            views = [ReplicaView(**view) for view in line["views"]]
            yield Rerouted(ask.key, line["answer"], router.route(ask, views))
            continue
        args = [tuple(arg) if isinstance(arg, list) else arg for arg in line["args"]]
        if "ask" in line:
            args.insert(0, _ask(line["ask"], None))
        getattr(router, line["call"])(*args)


def _facts(ask: RoundToPlace) -> dict[str, Any]:
    names = ("now", "session", "round", "prompt_tokens", "block_size", "blocks")
    return {name: getattr(ask, name) for name in names}


def _ask(facts: Mapping[str, Any], drawn: Callable[[], int] | None) -> RoundToPlace:
    blocks = tuple(Segment(*one) for one in facts["blocks"])

    def draw(_below: int) -> int:
        if drawn is None:
            raise ValueError("a router that learns draws nothing")
        return drawn()

    return RoundToPlace(**{**facts, "blocks": blocks}, draw=draw, prefill_s=_unknown)


def _unknown(_tokens: int, _cached: int) -> float:
    raise ValueError("a real server's prefill takes as long as it does")
