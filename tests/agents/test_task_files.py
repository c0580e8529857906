"""Tasks of a user's own: TOML, JSONL, and rows of SWE-bench's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marsbench.errors import UsageError
from marsbench.tasks.check import check_task
from marsbench.tasks.commands import run_limited
from marsbench.tasks.files import load_tasks
from marsbench.tasks.workspace import git, make_workspace

GOOD = """
id = "mine"
prompt = "Write b.txt."
[files]
"a.txt" = "a"
[check]
command = "test -f b.txt"
"""


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_toml_file_is_a_task_and_a_folder_of_them_tasks(tmp_path: Path) -> None:
    name = written(tmp_path / "mine.toml", GOOD)
    assert [task.id for task in load_tasks(name)] == ["mine"]
    written(tmp_path / "other.toml", GOOD.replace("mine", "other"))
    assert [task.id for task in load_tasks(str(tmp_path))] == ["mine", "other"]


def test_a_jsonl_file_holds_a_task_a_line(tmp_path: Path) -> None:
    one = {"id": "a", "prompt": "x", "files": {"f": ""}, "check": {"command": "true"}}
    name = written(tmp_path / "t.jsonl", "\n".join(json.dumps({**one, "id": i}) for i in "ab"))
    assert [task.id for task in load_tasks(name)] == ["a", "b"]


def test_shipped_tasks_can_be_chosen() -> None:
    assert [t.id for t in load_tasks("shipped:slow-tests,off-by-one")] == [
        "slow-tests",
        "off-by-one",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[files]", "[filse]"), "filse"),
        (('"a.txt"', '"../a.txt"'), "path inside the repository"),
        (('command = "test -f b.txt"', ""), "check.command"),
        (('id = "mine"', 'id = "../up"'), "id"),
        (('id = "mine"', "id = "), "not TOML"),
        (('[files]\n"a.txt" = "a"', 'repository = "x"'), "commit"),
    ],
)
def test_a_file_that_is_no_task_is_refused_by_what_is_wrong(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    name = written(tmp_path / "mine.toml", GOOD.replace(*change))
    with pytest.raises(UsageError, match=said):
        load_tasks(name)


@pytest.mark.parametrize("name", ["nothing", "shipped:nothing", "none.toml", "swebench:none.json"])
def test_tasks_that_are_not_there_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        load_tasks(name)


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.toml", GOOD)
    written(tmp_path / "b.toml", GOOD)
    with pytest.raises(UsageError, match="two tasks with the id 'mine'"):
        load_tasks(str(tmp_path))


PATCH = """\
--- a/test_f.py
+++ b/test_f.py
@@ -1 +1,2 @@
 from f import one
+assert one() == 1
"""


@pytest.fixture
def row(tmp_path: Path) -> dict[str, object]:
    """A row as SWE-bench has it, of a repository that the test makes."""
    repository = tmp_path / "origin"
    repository.mkdir()
    written(repository / "f.py", "def one():\n    return 2\n")
    written(repository / "test_f.py", "from f import one\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "base"]):
        git(repository, *command)
    base = git(repository, "rev-parse", "HEAD").strip()
    written(repository / "f.py", "def one():\n    return 3\n")
    git(repository, "commit", "-qam", "later")
    return {
        "instance_id": "me__f-1",
        "repo": str(repository),
        "base_commit": base,
        "problem_statement": "one() is not 1",
        "test_patch": PATCH,
        "test_command": "python3 test_f.py",
    }


def test_a_row_of_swe_bench_is_a_task(row: dict[str, object], tmp_path: Path) -> None:
    name = written(tmp_path / "rows.jsonl", json.dumps(row) + "\n")
    (task,) = load_tasks(f"swebench:{name}")
    workspace = make_workspace(task, tmp_path / "w")
    assert "return 2" in (workspace / "f.py").read_text(), "the base commit, not the newest"
    assert not check_task(task, workspace).passed
    assert run_limited("sed -i s/2/1/ f.py", workspace, 10, 512).code == 0
    assert check_task(task, workspace).passed


def test_published_rows_name_their_tests_and_their_repository(tmp_path: Path) -> None:
    row = {
        "instance_id": "o__n-1",
        "repo": "owner/name",
        "base_commit": "c0ffee",
        "problem_statement": "p",
        "FAIL_TO_PASS": '["t.py::a"]',
        "PASS_TO_PASS": '["t.py::b c"]',
    }
    name = written(tmp_path / "rows.json", json.dumps([row]))
    (task,) = load_tasks(f"swebench:{name}")
    assert task.repository == "https://github.com/owner/name.git"
    assert task.check.command == "python3 -m pytest -q t.py::a 't.py::b c'"


def test_a_row_that_says_nowhere_how_to_test_is_refused(
    row: dict[str, object], tmp_path: Path
) -> None:
    row.pop("test_command")
    name = written(tmp_path / "rows.jsonl", json.dumps(row))
    with pytest.raises(UsageError, match="add a column test_command"):
        load_tasks(f"swebench:{name}")
