"""A session's time alone is computed once and then read."""

from __future__ import annotations

from pathlib import Path

import pytest

from marsbench.core import isolated as room
from marsbench.core.isolated import Isolated, isolated
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.hardware.profile import load_hardware

HARDWARE = load_hardware()
SETTINGS = EngineSettings()
TOOL = (ToolCall("test", "cpu", cpu_s=1.0),)
SESSIONS = tuple(
    Session(
        f"s{i}",
        (Round(2_000 + i, 20, TOOL), Round(300, 20)),
        arrival_s=float(i),
        prefix_group="all",
        prefix_tokens=1_600,
    )
    for i in range(3)
)


def never(*_: object) -> Isolated:
    raise AssertionError("it was played again")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was played, with an answer at once."""
    asked: list[object] = []

    def answer(sessions: tuple[Session, ...], *_: object) -> Isolated:
        asked.append(sessions)
        return Isolated({s.id: 1.0 for s in sessions}, 0.5)

    monkeypatch.setattr(room, "_played", answer)
    return asked


@pytest.mark.vllm
def test_the_answer_read_is_the_one_that_was_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = isolated(SESSIONS, HARDWARE, SETTINGS, cache=tmp_path)
    monkeypatch.setattr(room, "_played", never)
    assert isolated(SESSIONS, HARDWARE, SETTINGS, cache=tmp_path) == fresh
    assert fresh.ideal_s.keys() == {"s0", "s1", "s2"}


@pytest.mark.vllm
def test_alone_means_without_the_others_prefix_and_their_company() -> None:
    together = isolated(SESSIONS, HARDWARE, SETTINGS)
    for session in SESSIONS:
        apart = isolated([session], HARDWARE, SETTINGS)
        assert apart.ideal_s[session.id] == pytest.approx(together.ideal_s[session.id], abs=1e-9)


def test_when_a_session_arrives_does_not_matter(tmp_path: Path, counted: list[object]) -> None:
    from dataclasses import replace

    later = [replace(s, arrival_s=s.arrival_s + 9) for s in SESSIONS]
    isolated(SESSIONS, HARDWARE, SETTINGS, cache=tmp_path)
    isolated(later, HARDWARE, SETTINGS, cache=tmp_path)
    assert len(counted) == 1


def test_other_sessions_hardware_or_settings_are_computed_anew(
    tmp_path: Path, counted: list[object]
) -> None:
    isolated(SESSIONS, HARDWARE, SETTINGS, cache=tmp_path)
    isolated(SESSIONS[:2], HARDWARE, SETTINGS, cache=tmp_path)
    isolated(SESSIONS, HARDWARE.with_scale(step=1.2), SETTINGS, cache=tmp_path)
    isolated(SESSIONS, HARDWARE, EngineSettings(block_size=32), cache=tmp_path)
    assert len(counted) == 4


def test_a_file_cut_short_is_made_again(tmp_path: Path, counted: list[object]) -> None:
    isolated(SESSIONS, HARDWARE, SETTINGS, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text()[:20])
    isolated(SESSIONS, HARDWARE, SETTINGS, cache=tmp_path)
    assert len(counted) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, counted: list[object]
) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "cache"
    assert isolated(SESSIONS, HARDWARE, SETTINGS, cache=nowhere).mean_gpu_s == 0.5


def test_it_lies_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert room.cache_folder() == Path("caches/marsbench/isolated")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "me")
    assert room.cache_folder() == Path("me/.cache/marsbench/isolated")
