"""Requests that ended in one step, in one order.

vLLM hands them on as a set of strings, whose order is another one in every process. Its offloading
connector goes through them: who comes first is evicted from host memory first.
"""

from __future__ import annotations

from typing import Any


def hear_in_order(connector: Any) -> None:
    """Let a connector find the requests that have ended in the order of their ids."""
    build = connector.build_connector_meta

    def in_order(scheduler_output: Any) -> Any:
        ended = scheduler_output.finished_req_ids
        scheduler_output.finished_req_ids = dict.fromkeys(sorted(ended))  # is asked as a set, too
        try:
            return build(scheduler_output)
        finally:
            scheduler_output.finished_req_ids = ended

    connector.build_connector_meta = in_order
