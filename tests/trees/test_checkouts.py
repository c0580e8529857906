"""A folder, a revision of it, and what is no vLLM."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from marsbench.errors import UsageError
from marsbench.report.commands import vllm_typed
from marsbench.trees.asked import pair_of, tree_of, typed
from marsbench.trees.imported import imported
from marsbench.trees.tree import PINNED, Tree
from tests.trees.tiny import SCHEDULER, committed, git, written


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    committed(tmp_path / "mine")
    return tmp_path / "mine"


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    tree = tree_of(str(checkout))
    assert (tree.commit, tree.dirty, tree.version, tree.label) == (commit, False, "dev", commit[:7])
    assert not tree.is_pinned


def test_an_edit_makes_it_dirty_and_another_tree(checkout: Path) -> None:
    clean = tree_of(str(checkout))
    (checkout / SCHEDULER).write_text("class Scheduler: ...\n")
    dirty = tree_of(str(checkout))
    assert dirty.dirty
    assert dirty.commit == clean.commit
    assert dirty.sources != clean.sources
    assert f"dirty, sources {dirty.sources[:7]}" in dirty.label


def test_an_edit_elsewhere_is_another_copy_with_the_same_sources(checkout: Path) -> None:
    clean = tree_of(str(checkout))
    (checkout / "vllm/other.py").write_text("TEXT = 2\n")
    edited = tree_of(str(checkout))
    assert (edited.sources, edited.root) != (clean.sources, clean.root)
    assert edited.sources == clean.sources


def test_what_was_begun_with_stays_while_its_user_edits(checkout: Path) -> None:
    tree = tree_of(str(checkout))
    before = tree.scheduler()
    (checkout / SCHEDULER).write_text("edited\n")
    assert tree.scheduler() == before


def test_only_python_comes_along_and_nothing_is_written_to_the_checkout(checkout: Path) -> None:
    tree = tree_of(str(checkout))
    names = {path.name for path in tree.root.rglob("*") if path.is_file()}
    assert names == {"__init__.py", "other.py", "scheduler.py", "_version.py", "tree.json"}
    assert git(checkout, "status", "--porcelain") == ""


def test_a_revision_is_what_was_committed_then(checkout: Path) -> None:
    before = tree_of(str(checkout))
    (checkout / SCHEDULER).write_text("class Scheduler: later = True\n")
    git(checkout, "commit", "-qam", "second")
    later = tree_of(f"{checkout}@main")
    assert "later" in later.scheduler()
    assert tree_of(f"{checkout}@main~1").sources == before.sources
    assert later.dirty is False


def test_a_baseline_may_be_a_revision_of_the_candidates_checkout(checkout: Path) -> None:
    (checkout / SCHEDULER).write_text("class Scheduler: mine = True\n")
    base, candidate = pair_of("main", str(checkout))
    assert "mine" not in base.scheduler()
    assert "mine" in candidate.scheduler()


def test_what_is_typed_for_a_tree_finds_that_tree_with_its_facts(checkout: Path) -> None:
    (checkout / SCHEDULER).write_text("dirty\n")
    tree = tree_of(str(checkout))
    assert tree_of(typed(tree)) == tree


def test_a_folder_without_git_has_no_commit(tmp_path: Path) -> None:
    tree = tree_of(str(written(tmp_path / "plain")))
    assert (tree.commit, tree.dirty) == (None, None)
    assert tree.label == f"sources {tree.sources[:7]}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0.12.0", r"older than 0\.28"),
        ("nonsense", r"neither a release .* nor a folder"),
        ("{mine}@nowhere", r"no revision 'nowhere'"),
        ("{empty}", r"holds no vLLM"),
    ],
)
def test_what_is_no_vllm_is_told_in_a_sentence(
    checkout: Path, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=told) as caught:
        tree_of(text.format(mine=checkout, empty=tmp_path / "empty"))
    assert caught.value.exit_code == 2
    assert re.search(r"as in|for example|PATH@REV|give", str(caught.value))


def test_the_installed_vllm_is_the_pinned_one() -> None:
    """Else every run of this environment would go without shortcuts."""
    tree = imported()
    if tree is None:
        pytest.skip("vLLM is not installed")
    assert tree.is_installed
    assert tree.is_pinned


def test_a_folder_outside_of_git_is_told_apart_from_the_release_of_its_version(
    tmp_path: Path,
) -> None:
    release = Tree(root=tmp_path, name="0.32.0", version="0.32.0", sources="5" * 64)
    edited = replace(release, name="vllm-copy")
    installed = replace(release, name="0.33.0", version="0.33.0")
    labels = [tree.label for tree in (release, edited, installed)]
    assert labels == ["0.32.0", "0.32.0, sources 5555555", "0.33.0, sources 5555555"]
    assert replace(installed, sources=PINNED["0.33.0"]).label == "0.33.0"
    assert [vllm_typed(label) for label in labels] == ["0.32.0", "PATH", "PATH"]


def test_a_report_has_typed_what_imports_the_same_again() -> None:
    assert vllm_typed("1a2b3c4") == "PATH@1a2b3c4"
    assert vllm_typed("1a2b3c4-dirty, sources 5d6e7f8") == "PATH"
    assert vllm_typed("sources 5d6e7f8") == "PATH"
    assert vllm_typed(None) is None
