"""The pinned vLLM with a few lines of its own, all else links: what somebody's checkout is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from marsbench.trees.imported import imported
from marsbench.trees.sources import PACKAGE, SCHEDULER
from marsbench.trees.tree import Tree, keep, read

CONFIG = "config/scheduler.py"
PLUGINS = "v1/core/sched/plugins/__init__.py"
LIMIT = "self.max_num_active_reqs = ("
POLICY = """                f"Unknown scheduling policy: {self.scheduler_config.policy}"
            ) from e
"""
MANAGED = """
        from vllm.v1.core.sched.plugins import SchedulerPluginManager
        self.plugins = SchedulerPluginManager(
            self.scheduler_config.policy, self.scheduler_config.scheduler_plugin_profile
        )
"""
QUEUE = "self.waiting = create_request_queue(self.policy)"
VICTIM = "preempted_req = self.running[-1]"
OFF_THE_LIST = """                    if self.policy == SchedulingPolicy.PRIORITY:
                        victim_index"""
SCHEDULER_EDITS = {
    POLICY: POLICY + MANAGED,
    QUEUE: "self.waiting = self.plugins.create_request_queue()",
    VICTIM: "preempted_req = self.plugins.select_preemption_victim(self.running)",
    OFF_THE_LIST: OFF_THE_LIST.replace("self.policy == SchedulingPolicy.PRIORITY", "True"),
}
"""A queue and a victim by plugins, under the names of vLLM's pull request 51601."""

POLICY_FIELD = '    policy: SchedulerPolicy = "fcfs"\n'
PROFILE_FIELD = "    scheduler_plugin_profile: SchedulerPluginProfile | None = None\n"
CONFIG_EDITS = {
    "@config\nclass SchedulerConfig:": """@config
class SchedulerPluginSpec:
    name: str = ""


@config
class SchedulerPluginProfile:
    queue_sort: SchedulerPluginSpec | None = None
    preemption: SchedulerPluginSpec | None = None


@config
class SchedulerConfig:""",
    POLICY_FIELD: "    scheduler_plugin_profile: SchedulerPluginProfile | None = None\n"
    + POLICY_FIELD,
}
PLUGINS_TEXT = """
from vllm.v1.core.sched.request_queue import FCFSRequestQueue

class QueueSortPlugin:
    pass

class PreemptionPlugin:
    pass

class First(QueueSortPlugin, PreemptionPlugin):
    name = "fcfs"
    def create_request_queue(self):
        return FCFSRequestQueue()
    def preemption_key(self, request, running_position):
        return (running_position,)

KNOWN = {First.name: First}

def register_scheduler_plugin(plugin):
    if plugin.name in KNOWN:
        raise ValueError(f"{plugin.name} is registered already")
    KNOWN[plugin.name] = plugin

class SchedulerPluginManager:
    def __init__(self, policy, profile):
        def made(point, base):
            spec = getattr(profile, point, None)
            name = policy if spec is None else spec.name
            if name not in KNOWN:
                raise ValueError(f"Unknown scheduler plugin: {name}")
            plugin = KNOWN[name]()
            if not isinstance(plugin, base):
                raise TypeError(f"{name} does not implement {point}")
            return plugin
        self.queue_sort = made("queue_sort", QueueSortPlugin)
        self.preemption = made("preemption", PreemptionPlugin)
    def create_request_queue(self):
        return self.queue_sort.create_request_queue()
    def select_preemption_victim(self, running):
        keys = [self.preemption.preemption_key(r, n) for n, r in enumerate(running)]
        return running[keys.index(max(keys))]
"""


def changed(root: Path, at_once: int, version: str = "0.33.0") -> Tree:
    """It runs so many requests at once, takes plugins, and tells this version."""
    tree = imported()
    assert tree is not None
    package = tree.root / PACKAGE
    limited = {LIMIT: f"self.max_num_active_reqs = {at_once} or ("}
    own = {
        SCHEDULER: _edited(package / SCHEDULER, {**SCHEDULER_EDITS, **limited}),
        CONFIG: _edited(package / CONFIG, CONFIG_EDITS),
        PLUGINS: PLUGINS_TEXT,
        "_version.py": f"__version__ = {version!r}\n__version_tuple__, __commit_id__ = (), None\n",
    }
    for name in own:
        _links(package, root / PACKAGE, Path(name).parent)
    for name, text in own.items():
        place = root / PACKAGE / name
        place.unlink(missing_ok=True)
        place.write_text(text)
    shutil.rmtree(root / PACKAGE / "__pycache__", ignore_errors=True)
    keep(root, "changed", version, "c0ffee0" * 5, True)
    found = read(root)
    assert found is not None
    return found


def _edited(file: Path, edits: Mapping[str, str]) -> str:
    text = file.read_text("utf-8")
    for before, after in edits.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def _links(package: Path, into: Path, folder: Path) -> None:
    """Folders on the way to `folder` of one's own, with links to what the real ones hold."""
    for part in (*reversed(folder.parents), folder):
        place = into / part
        if place.is_symlink():
            place.unlink()
        if place.is_dir():
            continue
        place.mkdir(parents=True)
        real = package / part
        for entry in real.iterdir() if real.is_dir() else ():
            (place / entry.name).symlink_to(entry)
