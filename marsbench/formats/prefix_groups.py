"""Which sessions begin with the same blocks, as prefix groups.

Recorded block hashes form a tree; a workload's prefix group is one path, of which every session
of the group has a leading part. So the tree is cut into paths, greedily where most blocks are
shared, and what two paths share above their parting is not kept: sharing is never overstated.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from marsbench.formats.blocks import NONE, Blocks, num_shared


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """The group of a session and how many leading blocks it has of the group's path."""

    group: int | None
    blocks: int


@dataclass(slots=True)
class _Node:
    """Prompts `begin` to `end` in sorted order, which begin with the same `depth` blocks.

    first: which of them comes first where they are not sorted.
    """

    depth: int
    begin: int
    first: int
    end: int = 0
    children: list[_Node] = field(default_factory=list)


def share(prompts: Sequence[Blocks]) -> list[SharedPrefix]:
    """A group for every prompt that begins like another."""
    order = list(_sorted(prompts, range(len(prompts)), 0, 3))  # most part at their first run
    found = [SharedPrefix(None, 0)] * len(prompts)
    groups = 0
    # A branch, and how many blocks its sessions have of a path that they leave there.
    pending = [(node, 0) for node in _roots(prompts, order)]
    while pending:
        node, above = pending.pop()
        members = node.end - node.begin
        if (members - 1) * node.depth > members * above:
            _follow(node, groups, order, found, pending)
            groups += 1
    return found


def _sorted(
    prompts: Sequence[Blocks], places: Iterable[int], begin: int, width: int
) -> Iterator[int]:
    """In the order of their runs, of which a few are looked at a time: those from `begin` on, and
    further ones of prompts that are alike so far."""

    def part(place: int) -> array[int]:
        return prompts[place].runs[begin : begin + width]

    alike = (list(group) for _, group in groupby(sorted(places, key=part), key=part))
    for group in alike:
        if len(group) == 1 or len(prompts[group[0]].runs) < begin + width:
            yield from group
        else:
            further = max(12, _AT_ONCE // len(group))
            yield from _sorted(prompts, group, begin + width, further)


_AT_ONCE = 2**21
"""Numbers of all runs that are looked at together."""


def _follow(
    node: _Node,
    group: int,
    order: Sequence[int],
    found: list[SharedPrefix],
    pending: list[tuple[_Node, int]],
) -> None:
    """Give the node's sessions what they have of the group's path, down the fullest branch."""
    while True:
        branches = sorted(
            node.children, key=lambda branch: (branch.begin - branch.end, branch.first)
        )
        pending += [(branch, node.depth) for branch in branches[1:]]
        onward = branches[:1]
        begin, end = (onward[0].begin, onward[0].end) if onward else (node.end, node.end)
        for member in (*order[node.begin : begin], *order[end : node.end]):
            found[member] = SharedPrefix(group, node.depth)
        if not onward:
            return
        node = onward[0]


def _roots(prompts: Sequence[Blocks], order: Sequence[int]) -> list[_Node]:
    """The tree of prompts, as its branches from no block at all, each as deep as it stays one.

    In sorted order, what begins alike stands together: the branch of the prompt before is open,
    and its part below what the next has in common with it is complete.
    """
    root = _Node(0, 0, 0)
    branch = [root]
    before = NONE
    for place, member in enumerate(order):
        prompt = prompts[member]
        _close(branch, num_shared(before, prompt), place)
        if prompt.num > branch[-1].depth:
            branch.append(_Node(prompt.num, place, member))
        branch[-1].first = min(branch[-1].first, member)
        before = prompt
    _close(branch, 0, len(order))
    return sorted(root.children, key=lambda node: node.first)


def _close(branch: list[_Node], depth: int, end: int) -> None:
    """Complete the nodes of an open branch that are deeper."""
    while branch[-1].depth > depth:
        node = branch.pop()
        node.end = end
        if branch[-1].depth < depth:
            branch.append(_Node(depth, node.begin, node.first))
        if node.end - node.begin > 1:  # of one prompt alone there is no group
            branch[-1].children.append(node)
        branch[-1].first = min(branch[-1].first, node.first)
