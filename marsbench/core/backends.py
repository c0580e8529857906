"""Backends as a user names them: `--backend NAME` with `--set NAME.PARAMETER=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from marsbench.errors import UsageError
from marsbench.extras import look_here_too
from marsbench_backends import registry
from marsbench_backends.admission import Admission
from marsbench_backends.registry import Backend

STOCK = "vllm"
"""In a backend's place: vLLM's own scheduler, with no policy asked."""


@dataclass(frozen=True)
class Choice:
    """A backend with the settings that were given for it.

    params: every parameter with its value in this choice, defaults filled in.
    """

    backend: Backend
    settings: Mapping[str, object]
    params: dict[str, Any]

    @classmethod
    def of(cls, backend: Backend, settings: Mapping[str, object]) -> Choice:
        """The backend with these settings. Raises BackendError for one that is not one."""
        return cls(backend, settings, backend.build(settings).params)

    @property
    def name(self) -> str:
        return self.backend.name

    def admission(self) -> Admission:
        """A fresh admission controller."""
        return self.backend.build(self.settings).admission

    def having(self, **settings: object) -> Choice:
        """The same backend with these settings too."""
        return Choice.of(self.backend, {**self.settings, **settings})


def choose(name: str, assignments: Iterable[str] = ()) -> Choice:
    """The backend of that name with `key=value` settings.

    An import path is looked for in the current folder too, after everything that is installed.
    Raises UsageError for an unknown backend or parameter, or a value of the wrong type.
    """
    if ":" in name:
        look_here_too()
    try:
        backend = registry.load(name)
        return Choice.of(backend, dict(_assignment(name, text) for text in assignments))
    except registry.BackendError as error:
        raise UsageError(str(error)) from error


def _assignment(backend: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    owner, dot, parameter = key.strip().rpartition(".")
    if not equals or not parameter:
        raise UsageError(
            f"--set takes PARAMETER=VALUE, not '{text}'; for example --set {backend}.NAME=1 "
            f"(`marsbench backends {backend}` lists the parameters)."
        )
    if dot and owner != backend:
        raise UsageError(
            f"--set {key} is for backend '{owner}', but this run's backend is '{backend}'; "
            f"leave it out, or choose --backend {owner}."
        )
    return parameter, value.strip()
