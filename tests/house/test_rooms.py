"""The plan of docs/architecture.md: rooms, what stands on what, and how large a thing may be.

`EXCEPTIONS` may only shrink: one that has been mended must leave it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping

from house.sources import Import, code_lines, our_imports, our_modules, source_files

DIVIDED = ("marsbench.core", "marsbench.wall", "marsbench.judge", "marsbench.report")
"""Rooms whose own rooms are held to the same rule."""

LONGEST_POLICY = 150
LARGEST_CORE = 6_000

EXCEPTIONS: dict[str, set[str]] = {
    "circles": set(),
    "long policies": set(),
    "siblings": set(),
    "names": {
        "Gpu",
        "SessionEnded",  # a signal of policies, and an event named by its file format
    },
}


def room(module: str, divided: bool) -> str:
    """Of a module: marsbench.core, or one of its own rooms where it is divided."""
    parts = module.split(".")
    return ".".join(parts[: 3 if divided and ".".join(parts[:2]) in DIVIDED else 2])


def arrows(imports: Iterable[Import], divided: bool) -> dict[str, set[str]]:
    """Which room imports which, lazily and for types too."""
    modules = {name for name, _ in our_modules()}
    found: dict[str, set[str]] = defaultdict(set)
    for one in imports:
        target = one.target
        while target and target not in modules:
            target = target.rpartition(".")[0]
        above, below = room(one.importer, divided), room(target, divided)
        if target and above != below:
            found[above].add(below)
    return found


def circles(graph: Mapping[str, set[str]]) -> set[str]:
    """Rooms that reach each other, as one string each."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for below in graph.get(todo.pop(), set()) - seen:
                seen.add(below)
                todo.append(below)
        return seen

    reach = {name: reached(name) for name in graph}
    return {
        " ".join(sorted({other for other in reach[name] if name in reach.get(other, ())}))
        for name in graph
        if name in reach[name]
    }


def test_nothing_imports_upwards() -> None:
    found = circles(arrows(our_imports(), False)) | circles(arrows(our_imports(), True))
    assert found == EXCEPTIONS["circles"]


def test_a_circle_is_found_through_a_lazy_import() -> None:
    down = Import("marsbench.cli.main", "marsbench.core.session", True, "here")
    up = Import("marsbench.core.session", "marsbench.cli.main", False, "here")
    assert circles(arrows([down], False)) == set()
    assert circles(arrows([down, up], False)) == {"marsbench.cli marsbench.core"}


def test_a_policy_is_a_page() -> None:
    lengths = {
        path.stem: len(path.read_text("utf-8").splitlines())
        for path in source_files("backends/marsbench_backends/policies")
    }
    long = {name for name, lines in lengths.items() if lines > LONGEST_POLICY}
    assert long == EXCEPTIONS["long policies"]


def test_a_policy_imports_no_sibling_but_its_own_admission() -> None:
    policies = "marsbench_backends.policies."
    found = {
        one.importer.removeprefix(policies)
        for one in our_imports()
        if one.importer.startswith(policies) and one.target.startswith(policies)
        and one.target.split(".")[2] not in (
            f"{one.importer.removeprefix(policies)}_admission",
            one.importer.removeprefix(policies),
        )
    }  # fmt: skip
    assert found == EXCEPTIONS["siblings"]


def test_no_class_name_stands_in_two_rooms() -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, path in our_modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                rooms[node.name].add(room(module, divided=True))
    twice = {name for name, where in rooms.items() if len(where) > 1}
    assert twice == EXCEPTIONS["names"]


def test_what_decides_a_number_stays_small() -> None:
    lines = sum(code_lines(path) for path in source_files("marsbench/core"))
    assert lines <= LARGEST_CORE
