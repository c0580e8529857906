"""`marsbench vllm list`: the vLLMs at hand, and what each can do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marsbench.core.proven import verdict
from marsbench.text.console import console, drawn
from marsbench.text.tables import Table
from marsbench.trees.capabilities import capabilities
from marsbench.trees.listing import at_hand, kind_of
from marsbench.trees.tree import Tree

HEAD = ("vLLM", "kind", "swap", "host KV", "plugins", "victim itself", "shortcuts")


def as_records() -> list[dict[str, Any]]:
    """One object a vLLM."""
    return [
        {
            **tree.facts,
            "name": tree.name,
            "kind": kind_of(tree),
            **asdict(capabilities(tree)),
            "shortcuts": _shortcuts(tree),
        }
        for tree in at_hand()
    ]


def render() -> None:
    """A table on standard output."""
    out = console()
    rows = [_row(tree) for tree in at_hand()]
    out.print(drawn(Table(HEAD, rows, "Ll")))
    out.print("another: --vllm 0.32.0, --vllm PATH or --vllm PATH@REV", highlight=False)


def _row(tree: Tree) -> tuple[str, ...]:
    can = capabilities(tree)
    switches = (_yes(flag) for flag in (can.swap, can.offloading, can.plugins))
    return (tree.label, kind_of(tree), *switches, can.preemption, _shortcuts(tree))


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _shortcuts(tree: Tree) -> str:
    if tree.is_pinned:
        return "proven by tests"
    found = verdict(tree)
    if found is None:
        return "not checked"
    return "proven by check" if found.is_equal else "differ"
