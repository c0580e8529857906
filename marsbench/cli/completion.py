"""What a shell may complete: names of backends, routers and workloads, asked for when TAB is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from typer import _completion_shared

from marsbench.option import Completes


def _backends() -> Iterable[str]:
    from marsbench_backends import registry

    return registry.installed()


def _routers() -> Iterable[str]:
    from marsbench.replicas import registry

    return registry.installed()


def _recipes() -> Iterable[str]:
    from marsbench.core.workload.recipe import recipe_names

    return recipe_names()


def backend(incomplete: str) -> list[str]:
    """The installed backends that begin so."""
    return _beginning(_backends(), incomplete)


def router(incomplete: str) -> list[str]:
    """The installed routers that begin so."""
    return _beginning(_routers(), incomplete)


def workload(incomplete: str) -> list[str]:
    """The recipes that begin so; where none does, files and folders."""
    return _beginning(_recipes(), incomplete) or files(incomplete)


def files(incomplete: str) -> list[str]:
    """Paths as typed so far and on; a folder ends in a slash, so that one can go on."""
    folder, slash, begun = incomplete.rpartition("/")
    base = Path(folder + slash).expanduser() if slash else Path()
    if not base.is_dir():
        return []
    found = sorted(path for path in base.iterdir() if path.name.startswith(begun))
    return [f"{folder}{slash}{path.name}{'/' * path.is_dir()}" for path in found]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def mend_zsh() -> None:
    """Has zsh complete at the first TAB of a shell too.

    zsh runs the installed script when TAB is first pressed. typer's registers its function then,
    and completes nothing until the next TAB; so it is called as well.
    """
    scripts = getattr(_completion_shared, "_completion_scripts", {})
    if scripts.get("zsh", "").rstrip().endswith(_REGISTERED):
        scripts["zsh"] = scripts["zsh"].rstrip() + _CALLED


_REGISTERED = "compdef %(complete_func)s %(prog_name)s"
_CALLED = """
if [[ $funcstack[1] == _%(prog_name)s ]]; then
  %(complete_func)s "$@"
fi
"""

COMPLETERS: Mapping[Completes, Callable[[str], list[str]]] = {
    "backend": backend,
    "router": router,
    "workload": workload,
}
"""By what an option says that it names."""
