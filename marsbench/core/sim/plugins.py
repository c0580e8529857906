"""Plugins of vLLM's own scheduler, in a vLLM that has them: RFC 51608, as pull request 51601 is.

They are configured by extension point, "queue_sort" and "preemption": a name that this vLLM knows,
or module:Class, which is made known to it under the class's own `name`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from marsbench.core.sim.own_class import loaded
from marsbench.errors import UsageError

CONFIG, PLUGINS = "vllm.config.scheduler", "vllm.v1.core.sched.plugins"
"""Imported where a plugin is asked for: no vLLM that was released has them."""


def plugin_config(plugins: Mapping[str, object]) -> dict[str, Any]:
    """What vLLM's SchedulerConfig is given for them; nothing where there are none.

    Raises UsageError for a plugin that does not go where it was put.
    """
    if not plugins:
        return {}
    config, own = importlib.import_module(CONFIG), importlib.import_module(PLUGINS)
    try:
        names = {point: _known(str(plugin)) for point, plugin in plugins.items()}
        specs = {point: config.SchedulerPluginSpec(name=name) for point, name in names.items()}
        profile = config.SchedulerPluginProfile(**specs)
        own.SchedulerPluginManager("fcfs", profile)
    except (TypeError, ValueError) as error:
        given = " ".join(f"--set {point}={plugin}" for point, plugin in plugins.items())
        raise UsageError(
            f"{given}: {error}; give a plugin that this vLLM knows, as fcfs or priority, or "
            "module:Class of a subclass of vLLM's plugin for that point, with a name of its own."
        ) from error
    return {"scheduler_plugin_profile": profile}


def plugin_classes(plugins: Mapping[str, object]) -> list[type]:
    """Those of a user's own: what they are written in reads the run's clock too."""
    return [_class(str(plugin)) for plugin in plugins.values() if ":" in str(plugin)]


def _known(plugin: str) -> str:
    """The name by which this vLLM knows it."""
    return _registered(_class(plugin)) if ":" in plugin else plugin


def _class(plugin: str) -> type:
    found = loaded("the plugin", plugin)
    if not (isinstance(found, type) and isinstance(getattr(found, "name", None), str)):
        raise TypeError(f"{plugin} is no class with a name of its own (name = ...)")
    return found


@cache  # vLLM takes a name once a process
def _registered(plugin: Any) -> str:
    importlib.import_module(PLUGINS).register_scheduler_plugin(plugin)
    return str(plugin.name)
