"""No tracked file names a folder of one machine or the host of a package index."""

from __future__ import annotations

import re
import subprocess

import pytest

from house.sources import ROOT

# The brackets keep these patterns from finding themselves.
LEAKS = {
    "a path of one machine": re.compile(r"(?<![\w.~})])/(?:roo[t]|hom[e]|wor[k]|op[t]|User[s])/\w"),
    "the host of an index": re.compile(r"pyp[i]\.org|pythonhoste[d]\.org|pytorc[h]\.org/whl"),
    "a local index": re.compile(r"file:/[/]/\w"),
}


def tracked() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("not a git clone")
    return [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def leaks_in(text: str) -> list[str]:
    lines = enumerate(text.splitlines(), start=1)
    return [
        f"{number}: {what}: {line.strip()[:100]}"
        for number, line in lines
        for what, pattern in LEAKS.items()
        if pattern.search(line)
    ]


def test_tracked_files_name_no_machine() -> None:
    found = [
        f"{name}:{leak}"
        for name in tracked()
        for leak in leaks_in((ROOT / name).read_text(errors="ignore"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("root", ["root", "home", "work", "opt", "Users"])
def test_a_path_of_one_machine_is_found(root: str) -> None:
    assert leaks_in(f"see /{root}/someone/file")
    assert not leaks_in(f"see docs/{root}/file and ../{root}/file")
