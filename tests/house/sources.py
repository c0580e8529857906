"""Our own source files and what they import, read without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Import:
    importer: str
    target: str
    at_module_level: bool
    where: str


def source_files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no Python file under {folders}"
    return found


def module_name(path: Path, base: Path) -> str:
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def our_modules() -> Iterator[tuple[str, Path]]:
    for path in source_files("marsbench"):
        yield module_name(path, ROOT), path
    for path in source_files("backends/marsbench_backends"):
        yield module_name(path, ROOT / "backends"), path


@cache  # each arrow asks for all of them
def our_imports() -> list[Import]:
    return [found for name, path in our_modules() for found in imports_of(name, path)]


def imports_of(name: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    inside = {id(node) for function in functions(tree) for node in ast.walk(function)}
    for node in ast.walk(tree):
        for target in targets(node, package):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            yield Import(name, target, id(node) not in inside, where)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def targets(node: ast.AST, package: str) -> Iterator[str]:
    """Full names; `from a import b` gives a.b, since b may be a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join(parents) if node.level else ""
        origin = ".".join(filter(None, [base, node.module or ""]))
        yield from (f"{origin}.{alias.name}" for alias in node.names)


def is_in(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)
