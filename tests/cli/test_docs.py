"""What the documents show was run: each ```console block is run again and compared.

A block begins with the command; a line "…" stands for the rest of the output. A caution that the
checkout has changes is left out, for a stranger's clone has none.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cli.conftest import Marsbench

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONSOLE = re.compile(r"```console\n\$ marsbench (?P<command>.*)\n(?P<shown>(?:.*\n)*?)```\n")
PYTHON = re.compile(r"```python\n(?P<code>\"\"\"Pin(?:.*\n)*?)```\n")
BLOCKS = {
    f"{path.relative_to(ROOT)}: {block['command']}": (path, block["command"])
    for path in DOCUMENTS
    for block in CONSOLE.finditer(path.read_text(encoding="utf-8"))
}
HEAD = 5
"""Lines of a run that are shown where the rest says nothing new."""


def printed(out: str) -> str:
    """The output as a document shows it."""
    lines = "".join(f"{line.rstrip()}\n" for line in out.splitlines())
    return re.sub(r"caution DIRTY_TREE.*\n(?:(?!caution ).*\n)*", "", lines)


def as_shown(out: str, shown: str) -> str:
    if not shown.endswith("…\n"):
        return out
    lines = out.splitlines()[: max(shown.count("\n") - 1, HEAD)]
    return "\n".join(lines).rstrip() + "\n…\n"


def example(path: Path) -> str:
    found = PYTHON.search(path.read_text(encoding="utf-8"))
    assert found, f"{path.name} shows no policy"
    return found["code"]


def test_the_documents_show_the_same_policy() -> None:
    assert example(ROOT / "README.md") == example(ROOT / "docs" / "adding-a-policy.md")


def test_it_takes_ten_lines() -> None:
    lines = [line for line in example(ROOT / "README.md").splitlines() if line.strip()]
    assert len(lines[1:]) <= 10


def test_make_run_is_the_command_that_the_readme_says() -> None:
    target = (ROOT / "Makefile").read_text().partition("\nrun: ")[2].splitlines()[1]
    (first, *_) = CONSOLE.finditer((ROOT / "README.md").read_text(encoding="utf-8"))
    assert target.strip() == f"$(BIN)/marsbench {first['command']} $(ARGS)"


@pytest.fixture(scope="module")
def outputs() -> dict[str, str]:
    """What each command printed: the documents share some."""
    return {}


@pytest.mark.vllm
@pytest.mark.parametrize("name", BLOCKS)
def test_what_a_document_shows_is_what_is_printed(
    name: str, marsbench: Marsbench, outputs: dict[str, str], rewrite_golden: bool
) -> None:
    path, command = BLOCKS[name]
    Path("pin.py").write_text(example(ROOT / "README.md"))
    if command not in outputs:
        done = marsbench(*shlex.split(command))
        assert done.code == 0, done.err
        outputs[command] = printed(done.out)
    text = path.read_text(encoding="utf-8")
    (block,) = (b for b in CONSOLE.finditer(text) if b["command"] == command)
    wanted = as_shown(outputs[command], block["shown"])
    if rewrite_golden:
        begin, end = block.span("shown")
        path.write_text(text[:begin] + wanted + text[end:], encoding="utf-8")
    else:
        assert block["shown"] == wanted, "run `make golden`, and read what has changed"
