"""The table of backends: read it and you know them all.

A third party's package adds one through the entry point group "marsbench.backends"; an import
path ("my_module:MyPolicy") works without any installation.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from marsbench_backends.admission import Admission
from marsbench_backends.answers.contract import check_class, check_values
from marsbench_backends.parameters import Parameter, make, parameters_of, values_of
from marsbench_backends.policy import Policy

BACKENDS = {
    "affinity": "marsbench_backends.policies.affinity:Affinity",
    "aios-fifo": "marsbench_backends.policies.aios_fifo:AiosFifo",
    "aios-rr": "marsbench_backends.policies.aios_rr:AiosRr",
    "autellix": "marsbench_backends.policies.autellix:Autellix",
    "autellix-atlas": "marsbench_backends.policies.autellix:AutellixAtlas",
    "berth": "marsbench_backends.policies.infercept:InferCept"
    "+marsbench_backends.policies.berth_admission:BerthAdmission",
    "clairvoyant": "marsbench_backends.policies.infercept:InferCept"
    "+marsbench_backends.policies.clairvoyant_admission:ClairvoyantAdmission",
    "concur": "marsbench_backends.policies.fcfs:FCFS+marsbench_backends.policies.concur:Concur",
    "continuum": "marsbench_backends.policies.continuum:Continuum",
    "continuum-static": "marsbench_backends.policies.continuum_static:ContinuumStatic",
    "fcfs": "marsbench_backends.policies.fcfs:FCFS",
    "fcfs-cap": "marsbench_backends.policies.fcfs:FCFS+marsbench_backends.admission:FixedCap",
    "infercept": "marsbench_backends.policies.infercept:InferCept",
    "infercept-static": "marsbench_backends.policies.infercept_static:InferCeptStatic",
    "las": "marsbench_backends.policies.las:Las",
    "mars": "marsbench_backends.policies.mars:Mars",
    "mars-published": "marsbench_backends.policies.mars:Mars"
    "+marsbench_backends.policies.mars_admission:MarsPublishedAdmission",
    "mars-released": "marsbench_backends.policies.mars_released:MarsReleased",
    "oracle": "marsbench_backends.policies.oracle:Oracle",
    "progress-ttl": "marsbench_backends.policies.progress_ttl:ProgressTtl",
    "retention": "marsbench_backends.policies.retention:Retention",
    "t-lru": "marsbench_backends.policies.t_lru:TLru",
    "thunderagent": "marsbench_backends.policies.thunderagent:ThunderAgent",
    "vtc": "marsbench_backends.policies.vtc:Vtc",
}
ENTRY_POINTS = "marsbench.backends"


class BackendError(ValueError):
    """A backend that does not exist or cannot be built: one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class BuiltBackend:
    """A backend for one run: its policy and its controller, which learn as that goes."""

    name: str
    policy: Policy
    admission: Admission

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter with its value, the policy's first; one name counts once."""
        own = values_of(self.policy)
        return own | values_of(self.admission) | own


@dataclass(frozen=True)
class Backend:
    """What a user names with --backend: a policy, an admission controller, their parameters."""

    name: str
    policy: type[Policy]
    admission: type[Admission]

    @property
    def about(self) -> str:
        """The header of the policy's file: the idea, the paper, what is not modelled.

        A variant of another policy in its file, or one with a controller that is not the policy's
        own, says first what is its own.
        """
        headers = [_file_header(self.policy)]
        if _is_variant(self.policy):
            headers.insert(0, self.policy.__doc__ or "")
        if self.admission is not self.policy.controller:
            own = self.admission
            headers.insert(0, (own.__doc__ if _is_variant(own) else _file_header(own)) or "")
        return "\n\n".join(headers).strip()

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of the policy, then those of the admission controller; one name counts once."""
        found = (*parameters_of(self.policy), *parameters_of(self.admission))
        return tuple({p.name: p for p in found}.values())

    def build(self, settings: Mapping[str, object]) -> BuiltBackend:
        """A fresh policy and controller. Raises BackendError for a setting that is not one."""
        known = {p.name for p in self.parameters}
        for name in settings:
            if name not in known:
                raise BackendError(_unknown(f"parameter of {self.name}", name, known))
        try:
            built = BuiltBackend(
                self.name, make(self.policy, settings), make(self.admission, settings)
            )
            check_values(built.policy)
            check_values(built.admission)
            return built
        except ValueError as error:
            raise BackendError(f"{self.name}: {error}.") from error


def _file_header(decider: type) -> str:
    return importlib.import_module(decider.__module__).__doc__ or ""


def _is_variant(decider: type) -> bool:
    """Of another class of the same file."""
    return any(base.__module__ == decider.__module__ for base in decider.__mro__[1:])


def load(name: str) -> Backend:
    """The backend of that name: from the table, an entry point, or an import path."""
    # Other packages are searched (10 ms) only for a name that is not ours: ours come first.
    targets = BACKENDS if name in BACKENDS else installed()
    if name in targets:
        policy, _, admission = targets[name].partition("+")
    elif ":" in name:
        policy, admission = name, ""
    else:
        own = "For your own, give an import path: --backend my_module:MyPolicy"
        raise BackendError(f"{_unknown('backend', name, targets)} {own}")
    found = _import(name, policy, Policy)
    if admission:
        return Backend(name, found, _import(name, admission, Admission))
    where = f"{policy}.controller"
    return Backend(name, found, _checked(name, where, found.controller, Admission))


def installed() -> dict[str, str]:
    """Name to import path of every backend that can be named, our own first."""
    others = {e.name: e.value for e in entry_points(group=ENTRY_POINTS)}
    return {**BACKENDS, **{n: t for n, t in sorted(others.items()) if n not in BACKENDS}}


def _import(name: str, target: str, base: type[Any]) -> Any:
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"Backend '{name}' cannot be imported from '{target}': {error}. "
            "Check the spelling, and that its folder is on PYTHONPATH."
        ) from error
    return _checked(name, target, found, base)


def _checked(name: str, target: str, found: Any, base: type[Any]) -> Any:
    """The class, if it is one of `base` and will be asked as it is written."""
    if not (isinstance(found, type) and issubclass(found, base)):
        raise BackendError(f"Backend '{name}': '{target}' is no subclass of {base.__name__}.")
    try:
        check_class(found)
    except ValueError as error:
        raise BackendError(f"Backend '{name}': {error}") from error
    return found


def _unknown(kind: str, given: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(given, sorted(known), n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"Unknown {kind} '{given}'.{hint} Known: {', '.join(sorted(known)) or 'none'}."
