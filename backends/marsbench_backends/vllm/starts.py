"""Whom a step of vLLM's let run that did not run before."""

from __future__ import annotations

from typing import Any


def started(output: Any) -> list[str]:
    """Ids in the order in which they were scheduled; `output` is vLLM's SchedulerOutput.

    Of its two model runners one is handed requests that go on after a preemption as new ones, the
    other as a set beside the running: which of them vLLM takes depends on the platform.
    """
    cached = output.scheduled_cached_reqs
    resumed = cached.resumed_req_ids
    again = [i for i in cached.req_ids if i in resumed] if resumed else ()
    return [*(new.req_id for new in output.scheduled_new_reqs), *again]
