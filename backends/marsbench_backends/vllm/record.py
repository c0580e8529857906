"""A server's scheduling decisions, one JSON object a line, in the order in which they were made.

The lines, by `event`; `at` is the scheduler's clock, `step` counts calls of `schedule()`:

- `submitted`: request, session, round, tools, last, parent, reusable, prompt_tokens, max_tokens
- `told`: a tool call that the server inferred: signal, session, name, seconds
- `scheduled`: step; tokens of each request; started: tokens found computed, of requests that began
  or resumed; preempted; free blocks
- `computed`: step; its tokens are known, and requests may end. Where KV was copied to or from host
  memory (`--host-kv`): copies that have ended, by the connector's numbers, and loaded requests
- `aborted`: requests, ended from outside
- `abandoned`: session, round; taken to have ended, since nothing was heard of it
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from marsbench_backends.signals import Signal
from marsbench_backends.vllm.rounds import RoundInfo


class DecisionRecorder:
    """Writes to a file, or nowhere, line by line: a server that is stopped loses none."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("w", 1, encoding="utf-8")
        self._scheduled = 0
        self._computed = 0

    def submitted(
        self, at: float, request_id: str, info: RoundInfo, prompt_tokens: int, max_tokens: int
    ) -> None:
        """A request joined."""
        facts = info.to_extra_args()["marsbench"]
        tokens = {"prompt_tokens": prompt_tokens, "max_tokens": max_tokens}
        self._write("submitted", at, request=request_id, **facts, **tokens)

    def told(self, signal: Signal) -> None:
        """The policy was told of a tool call."""
        facts = asdict(signal)
        self._write("told", facts.pop("at"), signal=type(signal).__name__, **facts)

    def scheduled(self, at: float, output: Any, free_blocks: int) -> None:
        """A step was put together; `output` is vLLM's SchedulerOutput."""
        if self._file is None:
            return
        cached = output.scheduled_cached_reqs
        started = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
        computed = zip(cached.req_ids, cached.num_computed_tokens, strict=True)
        started.update((i, n) for i, n in computed if i in cached.resumed_req_ids)
        preempted = sorted(output.preempted_req_ids or ())
        facts = {"started": started, "preempted": preempted, "free": free_blocks}
        tokens = dict(output.num_scheduled_tokens)
        self._write("scheduled", at, step=self._scheduled, tokens=tokens, **facts)
        self._scheduled += 1

    def computed(self, at: float, copied: Any = None) -> None:
        """The next step's tokens are known: vLLM takes outputs in the order of their steps.

        copied: what the worker of a connector says of copies, a KVConnectorOutput.
        """
        if self._file is None:
            return
        facts = {} if copied is None else _copied(copied)
        self._write("computed", at, step=self._computed, **facts)
        self._computed += 1

    def abandoned(self, at: float, info: RoundInfo) -> None:
        """A session was silent for too long, and is taken to have ended."""
        self._write("abandoned", at, session=info.session_id, round=info.round)

    def aborted(self, at: float, request_ids: list[str]) -> None:
        """Requests were ended from outside."""
        self._write("aborted", at, requests=request_ids)

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._file.close()

    def _write(self, event: str, at: float, **facts: object) -> None:
        if self._file is None:
            return
        self._file.write(json.dumps({"event": event, "at": at, **facts}) + "\n")


def _copied(told: Any) -> dict[str, list[Any]]:
    """Of either connector: the eager one counts jobs both ways, the lazy one its stores."""
    meta = told.kv_connector_worker_meta
    numbers = getattr(meta, "completed_jobs", getattr(meta, "completed_store_events", ()))
    return {"copies": list(numbers), "loaded": list(told.finished_recving or ())}
