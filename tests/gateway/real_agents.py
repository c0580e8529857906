"""Claude Code and Codex as a user starts them, with a gateway for their model's address."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.recorded_agents import BROKEN, DONE, TASK, WHOLE
from npm_agents import agent

CLAUDE, CODEX = agent("claude"), agent("codex")
WHY_NOT = "" if CLAUDE and CODEX else "Claude Code and Codex are not installed; make npm-agents"


async def claude_code(url: str, model: str, folder: Path) -> str:
    """Does the task; its session's id."""
    names = dict.fromkeys(
        ("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "ANTHROPIC_SMALL_FAST_MODEL"), model
    )
    env = {
        **names,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    options = ("--output-format", "json", "--allowedTools", "Bash,Agent")
    (said,) = await _run(folder, env, str(CLAUDE), "-p", TASK, *options)
    assert said["result"] == DONE, said
    return str(said["session_id"])


async def codex(url: str, model: str, folder: Path) -> str:
    """Does the task; its thread's id."""
    provider = f'{{name="m",base_url="{url}/v1",wire_api="responses"}}'
    options = ("--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    chosen = ("-m", model, "-c", "model_provider=m", "-c", f"model_providers.m={provider}")
    said = await _run(folder, {}, str(CODEX), "exec", *options, *chosen, TASK)
    assert DONE in [one.get("item", {}).get("text") for one in said], said
    return str(next(one["thread_id"] for one in said if one["type"] == "thread.started"))


async def _run(folder: Path, env: Mapping[str, str], *command: str) -> list[dict[str, Any]]:
    """In a folder of its own with the task's file; the JSON lines that it says."""
    (folder / "home").mkdir(parents=True)
    (folder / "calc.py").write_text(BROKEN)
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, (out, err)
    assert (folder / "calc.py").read_text() == WHOLE, "its tools were run"
    return [json.loads(line) for line in out.splitlines()]
