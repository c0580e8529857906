"""What an import writes of a recording, unless told otherwise: numbers, and no text, path or name.

Sessions, prefix groups and tenants are numbered. A tool keeps its name where that is one of the
public names below; any other may be a program's, a server's or a person's, and is numbered too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.recipe import recipe_names

_OF_AGENTS_AND_SHELLS = """
agent branch client_gap subagent tool user wait
AskUserQuestion Bash BashOutput Edit ExitPlanMode Glob Grep KillShell LS MultiEdit
NotebookEdit NotebookRead Read Skill SlashCommand Task TodoRead TodoWrite ToolSearch
WebFetch WebSearch Write apply_patch bash browse browser condense edit execute_bash
execute_ipython_cell execute_run file_editor finish google_web_search grep_search list_dir
list_directory message read read_file read_many_files replace run run_ipython
run_shell_command save_memory search search_file_content shell str_replace_based_edit_tool
str_replace_editor submit submit_review_messages task_tracker terminal think unified_exec
update_plan view view_image web_fetch web_search write write_file write_stdin write_todos
awk cat cd chmod cp create curl diff docker echo edit env export find find_file git go goto
grep head java kill ls make mkdir mv mypy node npm npx open perl pip pip3 pnpm ps pwd pytest
python python3 rg rm ruff scroll_down scroll_up search_dir search_file sed set sh sleep sort
source str_replace tail tar tee test touch tox tree undo_edit uv wc wget which xargs yarn
cargo cmake gcc insert mvn gradle
"""
PUBLIC_TOOLS = frozenset(_OF_AGENTS_AND_SHELLS.split())
"""Tools of public agents, and the commands that SWE-agent and others name a call by."""

_OWN_WORD = re.compile(
    r"(recorded|fixed|poisson|(gamma|burst|closed):[0-9.]+|[0-9a-f]{12}|[0-9a-f]{64})"
)


@dataclass(slots=True)
class _Numbers:
    """The numbers of names, in the order in which they are met."""

    kind: str
    known: frozenset[str] = frozenset()
    given: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        if name in self.known:
            return name
        return self.given.setdefault(name, f"{self.kind}{len(self.given) + 1}")


@dataclass(slots=True)
class Mask:
    """Gives what is the same the same number, for all sessions of one workload."""

    groups: _Numbers = field(default_factory=lambda: _Numbers("g"))
    tenants: _Numbers = field(default_factory=lambda: _Numbers("t", frozenset({"default"})))
    tools: _Numbers = field(default_factory=lambda: _Numbers("tool-", PUBLIC_TOOLS))

    def session(self, session: Session, name: str) -> Session:
        """Without a name of the recording's; a sub-agent is named by its place under it."""
        children = iter(range(1, 1 + sum(1 for _ in session.children)))

        def call(one: ToolCall) -> ToolCall:
            child = one.child
            if child is not None:
                child = self.session(child, f"{name}.{next(children)}")
            return replace(one, name=self.tools.of(one.name), child=child)

        # Rounds without tools are shared with what was read, which spares a third of the memory.
        rounds = tuple(
            replace(one, tools=tuple(map(call, one.tools))) if one.tools else one
            for one in session.rounds
        )
        group = session.prefix_group
        return replace(
            session,
            id=name,
            rounds=rounds,
            prefix_group=None if group is None else self.groups.of(group),
            tenant=self.tenants.of(session.tenant),
        )


def masked(sessions: Iterable[Session]) -> list[Session]:
    """The sessions as s1, s2, ... and without a name of the recording's."""
    mask = Mask()
    return [mask.session(one, f"s{number}") for number, one in enumerate(sessions, 1)]


def private_meta(meta: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Without texts, but those of this program: names of `known` and of recipes, kinds of
    arrivals, hashes. What is nested is somebody's, and goes; that a tokenizer was given stays."""
    allowed = {*known, *recipe_names()}
    own = {key: value for key, value in meta.items() if _is_own(value, allowed)}
    return {**own, **({"tokenizer": "given"} if "tokenizer" in meta else {})}


def _is_own(value: Any, allowed: set[str]) -> bool:
    if isinstance(value, str):
        return value in allowed or _OWN_WORD.fullmatch(value) is not None
    if isinstance(value, list | tuple):
        return all(_is_own(item, allowed) for item in value)
    return not isinstance(value, Mapping)
