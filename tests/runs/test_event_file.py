"""The events of a run have two forms and one content: nothing depends on which is there."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from marsbench.errors import UsageError
from marsbench.judge.gate import GateError, gate_exact
from marsbench.runs import RunFolder, event_file
from marsbench.runs.event_file import EVENTS, PACKED, events_hash, open_events, pack
from marsbench.runs.folder import file_hash
from runs.conftest import EVENTS as HAPPENED


def test_a_complete_run_has_its_events_packed_and_no_other_form(finished):
    assert not (finished.path / EVENTS).exists()
    assert (finished.path / PACKED).read_bytes().startswith(b"\x28\xb5\x2f\xfd")
    assert list(finished.events()) == HAPPENED


def test_a_run_that_is_played_has_plain_lines(tmp_path, config):
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in HAPPENED:
            run.emit(event)
        assert [p.name for p in run.path.glob("events*")] == [EVENTS]
    lines = (run.path / EVENTS).read_text("utf-8").splitlines()
    assert lines == [event.to_json() for event in HAPPENED]


def test_the_lines_of_a_run_are_hashed_and_not_what_they_were_packed_into(unpacked):
    kept = json.loads((unpacked.path / "files.json").read_text())[EVENTS]
    assert kept == file_hash(unpacked.path / EVENTS) == events_hash(unpacked.path)


def test_other_packed_bytes_of_the_same_lines_decide_nothing(finished, tmp_path):
    """As another version of zstd might pack them."""
    other = RunFolder.open(shutil.copytree(finished.path, tmp_path / "other"))
    with open_events(other.path) as lines:
        packed = pa.Codec("zstd", compression_level=19).compress(lines.read(), asbytes=True)
    assert packed != (finished.path / PACKED).read_bytes()
    (other.path / PACKED).write_bytes(packed)
    assert list(other.events()) == HAPPENED
    assert gate_exact(finished.path, other.path).verdict == "pass"


def test_plain_and_packed_are_the_same_run(unpacked, tmp_path):
    other = RunFolder.open(shutil.copytree(unpacked.path, tmp_path / "other"))
    pack(other.path)
    assert list(other.events()) == list(unpacked.events()) == HAPPENED
    assert gate_exact(unpacked.path, other.path).verdict == "pass"
    assert gate_exact(other.path, unpacked.path).verdict == "pass"


def test_where_both_forms_are_there_the_plain_one_is_read(finished):
    """As after a kill between the two last steps."""
    with open_events(finished.path) as lines:
        first = lines.readline()
    (finished.path / EVENTS).write_bytes(first)
    with open_events(finished.path) as lines:
        assert lines.read() == first


def test_a_run_without_room_for_both_forms_keeps_the_plain_one(tmp_path, config, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(event_file, "save", full)
    with RunFolder.create(tmp_path / "run", config) as run:
        for event in HAPPENED:
            run.emit(event)
        run.finish()
    assert [p.name for p in run.path.glob("*events*")] == [EVENTS]
    assert RunFolder.open(run.path).summary()["valid"]
    assert list(run.events()) == HAPPENED


@pytest.mark.parametrize("harm", ["short", "text"])
def test_a_packed_file_that_cannot_be_unpacked_is_one_sentence(finished, harm):
    path = finished.path / PACKED
    path.write_bytes(path.read_bytes()[:-9] if harm == "short" else b"no")
    with pytest.raises(UsageError, match=rf"{PACKED} is cut short or damaged; .*play the run"):
        list(finished.events())
    with pytest.raises(GateError, match="cut short or damaged"):
        gate_exact(finished.path, finished.path)


def test_the_plain_lines_go_only_when_the_packed_ones_are_on_disk(unpacked, monkeypatch):
    """What is done to names and disk, in order."""
    done = []
    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
        real = getattr(owner, name)

        def noted(*arguments, real=real, name=name, **options):
            done.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, noted)
    pack(unpacked.path)
    assert done[:3] == ["fsync", "replace", "unlink"]  # that of the draft, which is gone
    assert done[3:] == ["fsync", "unlink"]


def test_many_frames_are_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr(event_file, "FRAME_BYTES", 1000)
    text = random.Random("frames").randbytes(50_500).hex().encode() + b"\n"
    (tmp_path / EVENTS).write_bytes(text)
    pack(tmp_path)
    assert (tmp_path / PACKED).read_bytes().count(b"\x28\xb5\x2f\xfd") == 102
    with open_events(tmp_path) as lines:
        assert lines.read() == text
