"""What a cell's hash is of: code that decides a simulation, and no other."""

from __future__ import annotations

from pathlib import Path

import marsbench
import marsbench_backends
from marsbench.sweep.inputs import ELSEWHERE, SERVER_FILES, _files, deciding_files

PACKAGE = Path(marsbench.__file__).parent
BACKENDS = Path(marsbench_backends.__path__[0])


def test_code_that_decides_no_simulation_is_left_out() -> None:
    hashed = set(_files())
    for place in ELSEWHERE:
        assert not [file for file in hashed if file.is_relative_to(PACKAGE / place)], place
    assert not {BACKENDS / name for name in SERVER_FILES} & hashed


def test_code_that_decides_one_is_hashed() -> None:
    decide = {"engine/sim/merge.py", "workload/generate.py", "workload/files.py", "session.py"}
    assert {PACKAGE / file for file in decide} <= set(_files())
    assert {BACKENDS / "scheduler.py", BACKENDS / "mars_admission.py"} <= set(_files())


def test_a_new_file_of_a_left_out_folder_changes_nothing(tmp_path: Path) -> None:
    for name in ("run.py", "live/client.py", "sim/merge.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list(deciding_files(tmp_path, [tmp_path / "live"]))
    assert found == [tmp_path / "run.py", tmp_path / "sim/merge.py"]
