"""What a user names as an output is never put in another thing's place."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from marsbench.outputs import check_writable, save, save_text


def test_a_file_is_replaced_whole(tmp_path):
    (tmp_path / "out").write_text("old")
    save_text(tmp_path / "out", "new")
    assert (tmp_path / "out").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_a_link_and_its_target_changes(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/target")
    save_text(tmp_path / "link", "one")
    save_text(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "target").read_text() == "two"


def test_what_was_there_outlives_a_failure(tmp_path):
    def chunks():
        yield b"half"
        raise OSError(28, "No space left on device")

    (tmp_path / "out").write_text("old")
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "out", chunks())
    assert (tmp_path / "out").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    save_text(tmp_path / "pipe", "through")
    assert reader.communicate()[0] == b"through"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/stdout"])
def test_a_device_stays_a_device(device, tmp_path):
    code = (
        "from pathlib import Path; from marsbench.outputs import check_writable, save_text;"
        f"check_writable(Path({device!r})); save_text(Path({device!r}), 'text\\n')"
    )
    before = os.lstat(device).st_mode
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert os.lstat(device).st_mode == before
    assert done.stdout == (b"text\n" if device == "/dev/stdout" else b"")


def test_a_folder_is_refused_before_the_work_and_after(tmp_path):
    for attempt in (lambda: check_writable(tmp_path), lambda: save_text(tmp_path, "text")):
        with pytest.raises(IsADirectoryError):
            attempt()


def test_a_look_whether_it_can_be_written_leaves_nothing(tmp_path):
    check_writable(tmp_path / "out")
    assert not list(tmp_path.iterdir())
