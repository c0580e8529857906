"""What plays a run beside a backend: another vLLM, and a scheduler class of a user's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from marsbench.core.backends import STOCK, Choice
from marsbench.core.proven import verdict
from marsbench.errors import UsageError
from marsbench.runs.cautions import Caution, CautionNote
from marsbench.runs.request import RunRequest
from marsbench.trees.capabilities import capabilities
from marsbench.trees.imported import imported
from marsbench.trees.tree import PINNED, Tree
from marsbench_backends.admission import Admission
from marsbench_backends.policies.fcfs import FCFS
from marsbench_backends.registry import Backend

POINTS = ("queue_sort", "preemption")
"""Where vLLM's own scheduler takes a plugin, in a vLLM that has them."""


def scheduler_choice(name: str, plugins: Iterable[str] = ()) -> Choice:
    """Stands where a backend does in a run's folder. Its policy is asked nothing.

    plugins: "queue_sort=my_module:MyPlugin", as `--set` takes them; its parameters.
    Raises UsageError for what is neither "vllm" nor module:Class, and for another parameter.
    """
    if name != STOCK and not all(name.partition(":")):
        raise UsageError(
            f"--scheduler-cls takes module:Class, or {STOCK} for its own scheduler, not '{name}'; "
            "for example --scheduler-cls my_scheduler:MyScheduler."
        )
    choice = Choice.of(Backend(name, FCFS, Admission), {})
    return replace(choice, params=dict(_plugin(text) for text in plugins))


def _plugin(text: str) -> tuple[str, str]:
    point, _, plugin = (part.strip() for part in text.partition("="))
    if point not in POINTS or not plugin:
        raise UsageError(
            f"--set {text} is no plugin of vLLM's own scheduler; with --scheduler-cls give "
            "--set queue_sort=PLUGIN or --set preemption=PLUGIN, or leave --set out."
        )
    return point, plugin


def is_unproven(request: RunRequest) -> bool:
    """Whether a class or a plugin decides, of which nobody has proven anything."""
    if request.scheduler is None:
        return False
    return request.scheduler != STOCK or bool(request.choice.params)


def check_capable(request: RunRequest) -> None:
    """Raises UsageError where the imported vLLM lacks what is asked of it."""
    tree = imported()
    if tree is None:
        return
    can, choice, settings = capabilities(tree), request.choice, request.settings
    if request.scheduler is not None and choice.params and not can.plugins:
        raise _lacks(tree, "the scheduler plugins of its RFC 51608", "leave --set out")
    if tree.is_pinned:
        return
    swaps = choice.backend.build(choice.settings).policy.host_tokens > 0
    if swaps and not can.swap:
        raise _lacks(tree, f"what {choice.name} swaps KV blocks with", "another --backend")
    if settings.host_kv is not None and not can.offloading:
        raise _lacks(tree, "the offloading that --host-kv plays", "leave --host-kv out")


def _lacks(tree: Tree, what: str, instead: str) -> UsageError:
    return UsageError(
        f"vLLM {tree.label} has not {what}; use one that has (`marsbench vllm list` says which), "
        f"or {instead}."
    )


def tree_cautions() -> Iterator[CautionNote]:
    """What to know of a run on another vLLM than the pinned one."""
    tree = imported()
    if tree is None or tree.is_pinned:
        return
    found = verdict(tree)
    if found is None:
        yield Caution.SHORTCUTS_OFF.note(vllm=tree.label, name=tree.name)
    elif not found.is_equal:
        yield Caution.SHORTCUTS_DIFFER.note(vllm=tree.label, why=found.why)
    if tree.dirty:
        commit = (tree.commit or "")[:7]
        yield Caution.DIRTY_VLLM.note(commit=commit, sources=tree.sources[:16])
    yield Caution.ALONE_PINNED.note(pinned=max(PINNED))
