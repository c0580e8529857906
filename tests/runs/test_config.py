"""A configuration is what was asked for, and names its folder."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

import marsbench
from marsbench.runs import Provenance, RunConfig
from marsbench.runs import provenance as module
from marsbench.trees import git as asked

DAY = date(2026, 11, 22)


def test_a_configuration_round_trips(config):
    asked = replace(config, params={"cap": 4}, alphas=(1.5, 3.0), unmeasured=("evicted",))
    assert RunConfig.from_json(asked.to_json()) == asked


def test_a_value_that_is_not_json_is_refused(config):
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(config, params={"cap": float("nan")}).to_json()


def test_a_folder_name_says_date_code_workload_and_backend(config):
    assert config.folder_name(DAY) == "2026-11-22_3f2a91c_ilr-1_fcfs"


def test_a_folder_name_has_nothing_awkward_in_it(config):
    asked = replace(config, backend="my_module:My Policy", workload="../w/é.jsonl")
    assert asked.folder_name(DAY) == "2026-11-22_3f2a91c_w-.jsonl_my-module-My-Policy"
    assert replace(config, workload="..").folder_name(DAY) == "2026-11-22_3f2a91c_unnamed_fcfs"


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (Provenance(versions={"marsbench": "0.1.0"}), "v0.1.0"),
        (Provenance(), "vunknown"),
        (Provenance(commit="3f2a91c0", dirty=True), "3f2a91c-dirty"),
        (Provenance(commit="3f2a91c0", dirty=False), "3f2a91c"),
    ],
)
def test_code_is_named_by_commit_or_else_by_version(code, label):
    assert code.label == label


def test_a_dirty_tree_is_a_caution(config):
    dirty = replace(config, code=replace(config.code, dirty=True))
    (note,) = dirty.known_cautions()
    assert note["code"] == "DIRTY_TREE"
    assert "3f2a91c;" in note["text"]
    assert config.known_cautions() == []


def test_versions_are_those_installed_and_none_where_not(monkeypatch):
    monkeypatch.setattr(module, "RECORDED", ("numpy", "no-such-distribution"))
    versions = Provenance.here().versions
    assert versions["numpy"]
    assert versions["no-such-distribution"] is None
    assert versions["python"].count(".") == 2


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """A checkout that tracks a package, and the package."""
    package = tmp_path / "marsbench"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return package


def test_a_checkout_is_dirty_when_its_code_changed_and_not_for_a_note(checkout):
    commit, dirty = module._checkout(checkout)
    assert (len(commit), dirty) == (40, False)
    (checkout.parent / "note.txt").write_text("buy milk")
    assert module._checkout(checkout) == (commit, False)
    for place, moves_a_number in (("report", False), ("wall/live", True)):
        (checkout / place).mkdir(parents=True)
        (checkout / place / "extra.py").write_text("x = 1")
        assert module._checkout(checkout) == (commit, moves_a_number), place


def test_a_checkout_is_dirty_when_code_is_gone(checkout):
    (checkout / "core").mkdir()
    (checkout / "core/session.py").write_text("x = 1")
    git(checkout.parent, "add", ".")
    git(checkout.parent, "commit", "-q", "-m", "second")
    assert module._checkout(checkout)[1] is False
    (checkout / "core/session.py").unlink()
    assert module._checkout(checkout)[1] is True


def test_a_package_installed_inside_a_foreign_checkout_has_no_commit(checkout):
    installed = checkout.parent / ".venv" / "marsbench"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert module._checkout(installed) == (None, None)


def test_what_is_asked_of_git_is_the_package():
    """A run from a checkout named no commit while this was the folder above it."""
    assert (module.PACKAGE / "__init__.py").samefile(marsbench.__file__)
    assert module.Path(module.__file__).is_relative_to(module.PACKAGE)


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setattr(asked.shutil, "which", lambda name: None)
    assert module._checkout(checkout) == (None, None)


def test_a_git_that_hangs_is_no_git(checkout, monkeypatch):
    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, 10)

    stub = SimpleNamespace(run=hang, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(asked, "subprocess", stub)
    assert module._checkout(checkout) == (None, None)
