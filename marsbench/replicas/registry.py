"""The table of routers. Another package adds one through the entry point group "marsbench.routers";
an import path ("my_module:MyRouter") works without any installation.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from inspect import isabstract
from typing import Any

from marsbench.errors import UsageError, unknown_name
from marsbench.extras import look_here_too
from marsbench.replicas.router import SET, Router
from marsbench_backends.parameters import Parameter, make, parameters_of, values_of

_OURS = "marsbench.replicas.routers"
ROUTERS = {
    "aibrix": f"{_OURS}.aibrix:Aibrix",
    "cache-aware": f"{_OURS}.cache_aware:CacheAware",
    "clairvoyant": f"{_OURS}.clairvoyant:Clairvoyant",
    "dynamo": f"{_OURS}.dynamo:Dynamo",
    "kv-aware": f"{_OURS}.kv_aware:KvAware",
    "least-load": f"{_OURS}.least_load:LeastLoad",
    "llm-d": f"{_OURS}.llm_d:LlmD",
    "migrate": f"{_OURS}.migrate:Migrate",
    "prefix-aware": f"{_OURS}.prefix_aware:PrefixAware",
    "ray-prefix": f"{_OURS}.ray_prefix:RayPrefix",
    "round-robin": f"{_OURS}.round_robin:RoundRobin",
    "session-affinity": f"{_OURS}.session_affinity:SessionAffinity",
    "smetric": f"{_OURS}.smetric:Smetric",
    "smg": f"{_OURS}.smg:Smg",
    "vllm-dp": f"{_OURS}.vllm_dp:VllmDp",
}
ENTRY_POINTS = "marsbench.routers"


@dataclass(frozen=True)
class RouterChoice:
    """A router's class with the settings that were given for it."""

    name: str
    router: type[Router]
    settings: Mapping[str, object]

    @property
    def about(self) -> str:
        """The header of its file: the rule, its source, what is not modelled."""
        return (importlib.import_module(self.router.__module__).__doc__ or "").strip()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of their declaration."""
        return tuple(parameters_of(self.router))

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter with its value."""
        return values_of(self.build())

    def build(self) -> Router:
        """A fresh one for one run. Raises UsageError for a value that cannot be."""
        try:
            built: Router = make(self.router, self.settings)
        except ValueError as error:
            raise UsageError(f"Router {self.name}: {error}.") from error
        for name in ("snapshot_age_s", "kv_event_delay_s"):
            if not 0 <= (value := getattr(built, name)) < float("inf"):
                raise UsageError(
                    f"{SET}{name} must be 0 or more, not {value:g}; "
                    f"for example --set {SET}{name}=0.2."
                )
        if built.kv_event_delay_s and not built.hears_kv_events:
            raise UsageError(
                f"{SET}kv_event_delay_s is for a router that hears of KV events, and {self.name} "
                "does not; leave it out."
            )
        return built


def installed() -> dict[str, str]:
    """Name to import path of every router that can be named, our own first."""
    others = {e.name: e.value for e in entry_points(group=ENTRY_POINTS)}
    return {**ROUTERS, **{n: t for n, t in sorted(others.items()) if n not in ROUTERS}}


def choose_router(name: str, assignments: Iterable[str] = ()) -> RouterChoice:
    """The router of that name with settings, each as "NAME=VALUE".

    Raises UsageError for an unknown router or parameter, or a value of the wrong type.
    """
    targets = ROUTERS if name in ROUTERS else installed()
    if name not in targets and ":" not in name:
        raise unknown_name("router", name, targets)
    found = _import(name, targets.get(name, name))
    known = {one.name for one in parameters_of(found)}
    settings: dict[str, object] = {}
    for text in assignments:
        parameter, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f"--set takes PARAMETER=VALUE, not '{SET}{text}'; "
                f"for example --set {SET}snapshot_age_s=0."
            )
        if parameter not in known:
            raise unknown_name(f"parameter of router {name}", parameter, known)
        settings[parameter] = value
    choice = RouterChoice(name, found, settings)
    choice.build()
    return choice


def router_label(name: str, params: Mapping[str, Any]) -> str:
    """The name, with what of a router of ours differs from its defaults: "llm-d (kv_weight=0)"."""
    defaults = choose_router(name).params if name in ROUTERS else params
    turned = [f"{key}={value}" for key, value in params.items() if defaults.get(key) != value]
    return f"{name} ({', '.join(turned)})" if turned else name


def _import(name: str, target: str) -> type[Router]:
    """A class is looked for in the current folder too, after everything that is installed."""
    module, _, attribute = target.partition(":")
    if target not in ROUTERS.values():
        look_here_too()
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"Router '{name}' cannot be imported from '{target}': {error}; "
            "check the spelling, and that its folder is on PYTHONPATH."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Router)):
        raise UsageError(f"Router '{name}': '{target}' is no subclass of marsbench's Router.")
    if isabstract(found):
        raise UsageError(f"Router '{name}': '{target}' has no route(), which names the replica.")
    return found
