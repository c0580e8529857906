"""Which sessions begin with the same blocks, as prefix groups.

Recorded block hashes form a tree; a workload's prefix group is one path, of which every session
of the group has a leading part. So the tree is cut into paths, greedily where most blocks are
shared, and what two paths share above their parting is not kept: sharing is never overstated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Shared:
    """The group of a session and how many leading blocks it has of the group's path."""

    group: int | None
    blocks: int


@dataclass(slots=True)
class _Node:
    """Blocks that the same sessions have: `depth` of them lead to its end."""

    members: list[int]
    depth: int
    children: list[_Node] = field(default_factory=list)


def share(prompts: Sequence[Sequence[int]]) -> list[Shared]:
    """A group for every prompt that begins like another; prompts are lists of block hashes."""
    found = [Shared(None, 0)] * len(prompts)
    groups = 0
    # A branch, and how many blocks its sessions have of a path that they leave there.
    pending = [(node, 0) for node in _split(prompts, range(len(prompts)), 0)]
    while pending:
        node, above = pending.pop()
        if (len(node.members) - 1) * node.depth > len(node.members) * above:
            _follow(node, groups, prompts, found, pending)
            groups += 1
    return found


def _follow(
    node: _Node,
    group: int,
    prompts: Sequence[Sequence[int]],
    found: list[Shared],
    pending: list[tuple[_Node, int]],
) -> None:
    """Give the node's sessions what they have of the group's path, down the fullest branch."""
    while True:
        for member in node.members:
            found[member] = Shared(group, node.depth)
        branches = _split(prompts, node.members, node.depth)
        branches.sort(key=lambda branch: -len(branch.members))
        pending += [(branch, node.depth) for branch in branches[1:]]
        if not branches or len(branches[0].members) == 1:
            return
        node = branches[0]


def _split(prompts: Sequence[Sequence[int]], members: Sequence[int], depth: int) -> list[_Node]:
    """These sessions by their next block, each branch as deep as its sessions stay together."""
    by_block: dict[int, list[int]] = {}
    for member in members:
        if len(prompts[member]) > depth:
            by_block.setdefault(prompts[member][depth], []).append(member)
    return [_Node(inside, _common(prompts, inside, depth)) for inside in by_block.values()]


def _common(prompts: Sequence[Sequence[int]], members: Sequence[int], depth: int) -> int:
    """Leading blocks that all of them have."""
    first = prompts[members[0]]
    end = min(len(prompts[member]) for member in members)
    for place in range(depth, end):
        if any(prompts[member][place] != first[place] for member in members):
            return place
    return end
