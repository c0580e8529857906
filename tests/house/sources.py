"""Our own source files and what they import, read without importing them."""

from __future__ import annotations

import ast
import io
import tokenize
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


@dataclass(frozen=True)
class Source:
    """What the rules ask of a file; its tree is walked once for all of them, and let go."""

    functions: tuple[tuple[str, int, int], ...]
    """Name, first and last line."""
    imports: tuple[tuple[ast.Import | ast.ImportFrom, bool], ...]
    """Each import statement, and whether it stands outside of every function."""


@cache
def source(path: Path) -> Source:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = tuple(
        (node.name, node.lineno, node.end_lineno or node.lineno)
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    outside = [not any(a <= node.lineno <= b for _, a, b in found) for node in imports]
    return Source(found, tuple(zip(imports, outside, strict=True)))


def imports_of(name: str, path: Path) -> Iterator[Import]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node, at_module_level in source(path).imports:
        for target in targets(node, package):
            yield Import(name, target, at_module_level, f"{path.relative_to(ROOT)}:{node.lineno}")


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


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank ones, comments or docstrings."""
    text = path.read_text("utf-8")
    words = {line for node in ast.walk(ast.parse(text)) for line in _docstring_lines(node)}
    nothing = {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
        *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in nothing:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - words)


def _docstring_lines(node: ast.AST) -> Iterator[int]:
    body = getattr(node, "body", ())
    for statement in body if isinstance(body, list) else ():
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield from range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
