"""A scheduler class of a user's own, in the place of vLLM's."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import marsbench.core.sim.vllm_core  # noqa: F401  (it quietens vLLM, which is imported next)

# isort: split
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from marsbench.core.backends import STOCK
from marsbench.core.sim.merge import StockScheduler
from marsbench.errors import UsageError
from marsbench.extras import look_here_too


def scheduler_class(name: str) -> Any:
    """The class of that name, module:Class, looked for in the current folder too.

    Raises UsageError for one that is no subclass of vLLM's Scheduler, or is asynchronous.
    """
    if name == STOCK:
        return Scheduler
    found = loaded("--scheduler-cls", name)
    if not (isinstance(found, type) and issubclass(found, Scheduler)):
        raise UsageError(
            f"--scheduler-cls {name} is no subclass of vLLM's Scheduler "
            "(vllm.v1.core.sched.scheduler); name one that is."
        )
    if issubclass(found, AsyncScheduler):
        raise UsageError(
            f"--scheduler-cls {name} derives from AsyncScheduler, whose placeholders for tokens "
            "yet to come a simulation has not; name its class over Scheduler."
        )
    return found


def loaded(option: str, name: str) -> Any:
    """What module:Class names; None where the module has no such name.

    Raises UsageError where there is no module.
    """
    module, _, attribute = name.partition(":")
    look_here_too()
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise UsageError(
            f"{option} {name}: the module cannot be imported ({error}); type the command "
            "in its folder, or put that on PYTHONPATH."
        ) from error


@cache
def as_stock(cls: Any) -> Any:
    """The class with what the simulator reads of a scheduler beside it; what it decides is its."""
    return StockScheduler if cls is Scheduler else type(cls.__name__, (StockScheduler, cls), {})
