"""What is no JSON is told in a user's words, whatever reads it: what it is, where, what to do.

The files that others wrote, and our own where somebody changed them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from marsbench.core.workload.files import read_workload
from marsbench.errors import UsageError
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format
from marsbench.formats.gathering import gather
from marsbench.formats.reading import ReadError, json_of
from marsbench.formats.table import FORMATS, contents_of, files_of
from marsbench.judge.gate.exact import _json
from marsbench.judge.gate.values import GateError
from marsbench.judge.sweep.folder import _read
from marsbench.runs.config import RunConfig
from marsbench.runs.folder import _load
from marsbench.tasks.files import load_tasks

PYTHONS = ("Expecting", "delimiter", "Unterminated", "Extra data", "Invalid", "char ")
OF_FILES = [one for one in FORMATS if one.name != "run"]
"""A run is a folder."""

BROKEN = {
    "": "is empty",
    " \n\n": "is empty",
    '{"a": 1': "is cut short: what begins before column 8 has no end",
    '{"a": "b': "is cut short: what begins before column 7 has no end",
    "[1, 2": "is cut short",
    '{"a": 1} {"a": 2}': "goes on behind its end ('{\"a\": 2}' at column 10); give each record",
    "{'a': 1}": "is no JSON (\"'a': 1}\" at column 2); give the file as its tool wrote it",
    '{"a": 1,\n "b": oh dear, what a long line}': "'oh dear, what a long…' at line 2, column 7",
    '{"a" 1}': "is no JSON ('1}' at column 6)",
    '{"a": "\x01"}': "is no JSON",
    '{"a": "\\x"}': "is no JSON",
    "[1 2]": "is no JSON ('2]' at column 4)",
}


@pytest.mark.parametrize("text", BROKEN)
def test_it_is_told_in_our_words(text: str) -> None:
    with pytest.raises(ReadError) as error:
        json_of(text)
    told = str(error.value)
    assert BROKEN[text] in told
    assert "; " in told
    assert not any(word in told for word in PYTHONS)


@pytest.mark.parametrize("kind", OF_FILES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("text", ["", '{"a": 1', '{"a": 1} {"a"', "{'a': 1}\n", "<x>\n", "[1 2]"])
def test_no_importer_repeats_what_a_parser_said(kind: Format, text: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    found = gather([contents_of(one, Fallback()) for one in files_of([path], kind)])
    told = (*found.problems, *found.repairs)
    assert not found.sessions
    assert not [one for one in told if any(word in one for word in PYTHONS)]


OWN: dict[str, Callable[[Path], object]] = {
    "a workload": read_workload,
    "a run's configuration": lambda path: RunConfig.from_json(path.read_text(), str(path)),
    "a run's summary": _load,
    "a sweep's plan": _read,
    "a run that is compared": _json,
    "a task": lambda path: load_tasks(str(path)),
}


@pytest.mark.parametrize("of", OWN)
@pytest.mark.parametrize("text", ['{"a": 1', "{'a': 1}\n", "[1 2]", '{"a": "b'])
def test_nothing_of_ours_that_was_changed_is_told_in_a_parser_s_words(
    of: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "ours.json"
    path.write_text(text)
    with pytest.raises((UsageError, GateError)) as error:
        OWN[of](path)
    told = str(error.value)
    assert "ours.json" in told
    assert not any(word in told for word in PYTHONS)
