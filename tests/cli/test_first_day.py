"""What a newcomer tries on the first day: short help, completion, odd terminals, broken files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Marsbench
from cli.test_help import VERBS
from marsbench.judge.sweep.spec import read_sweep_file
from marsbench_backends import registry

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def typed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`python -m marsbench ARGUMENTS…` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "marsbench", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_h_is_help(verb: tuple[str, ...], marsbench: Marsbench) -> None:
    short = marsbench(*verb, "-h")
    assert short.code == 0
    assert short.out == marsbench(*verb, "--help").out


def test_the_shell_completes_verbs() -> None:
    asked = {"COMP_WORDS": "marsbench ga", "COMP_CWORD": "1"}
    done = typed(_MARSBENCH_COMPLETE="complete_bash", **asked)
    assert done.stdout.split() == [b"gate", b"gateway"]


def test_completion_can_be_installed(marsbench: Marsbench) -> None:
    assert "--install-completion" in marsbench("--help").out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("verb", [("backends",), ("hardware", "list"), ("run", "--help")])
def test_any_encoding_of_stdout_will_do(verb: tuple[str, ...], encoding: str) -> None:
    done = typed(*verb, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_control_c_while_it_is_loaded_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = typed("--help", PYTHONPATH=str(tmp_path))
    assert done.returncode == 130
    assert done.stderr == b"marsbench: stopped; a run that had begun keeps its folder.\n"


def test_the_script_is_the_same_entry_point() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'marsbench = "marsbench.__main__:main"' in text


@pytest.mark.parametrize("content", ["[]", "3", "null", '"x"'])
def test_a_run_json_that_is_no_object_is_said(content: str, marsbench: Marsbench) -> None:
    Path("run").mkdir()
    Path("run/run.json").write_text(content)
    Path("run/events.jsonl").touch()
    done = marsbench("show", "run")
    assert done.code == 2
    assert "holds no JSON object" in done.sentence


def test_every_backend_describes_itself(marsbench: Marsbench) -> None:
    records = json.loads(marsbench("backends", "--json").out)
    assert len({record["idea"] for record in records}) == len(records)


@pytest.mark.parametrize("name", registry.installed())
def test_a_backend_cites_pages_that_are_there(name: str) -> None:
    backend = registry.load(name)
    text = f"{backend.about} {backend.policy.__doc__} {backend.admission.__doc__}"
    cited = re.findall(r"[\w/.-]+\.md\b", text)
    assert all((ROOT / page).is_file() for page in cited), cited


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)]+\.md)\)", (DOCS / "index.md").read_text("utf-8")))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"index.md"}
    assert {page for page in linked if not page.startswith("../")} == pages
    assert "docs/index.md" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("word", ["ilr", "place", "regime"])
def test_the_glossary_explains(word: str) -> None:
    assert f"\n| {word} |" in (DOCS / "glossary.md").read_text("utf-8")


def test_curl_says_what_it_sends() -> None:
    lines = [line for page in DOCS.glob("*.md") for line in page.read_text("utf-8").splitlines()]
    sent = [line for line in lines if "curl " in line and " -d " in line]
    assert sent
    assert all("Content-Type: application/json" in line for line in sent)


def test_the_gate_page_shows_the_sweep_that_its_workflow_plays(tmp_path: Path) -> None:
    text = (DOCS / "gate.md").read_text("utf-8")
    (shown,) = re.findall(r"```toml\n(# \.github/gate-sweep\.toml\n.*?)```", text, re.DOTALL)
    file = tmp_path / "gate-sweep.toml"
    file.write_text(shown)
    assert read_sweep_file(file).backends
