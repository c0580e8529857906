"""Functions stay short: none over 60 lines, half of them under 10."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from house.sources import ROOT, source, source_files

LONGEST = 60
MEDIAN_BELOW = 10
PACKAGES = ("marsbench", "backends")


def lengths(path: Path) -> dict[str, int]:
    """Lines of each function, signature and docstring included."""
    where = path.relative_to(ROOT)
    return {
        f"{where}:{first} {name}": last - first + 1 for name, first, last in source(path).functions
    }


def all_lengths(*folders: str) -> dict[str, int]:
    return {name: n for path in source_files(*folders) for name, n in lengths(path).items()}


def test_no_function_is_longer_than_a_screen() -> None:
    others = [folder for folder in ("tools", "benchmarks") if (ROOT / folder).is_dir()]
    long = {name: n for name, n in all_lengths(*PACKAGES, *others).items() if n > LONGEST}
    listing = "\n".join(f"{name}: {n} lines" for name, n in long.items())
    assert not long, f"over {LONGEST} lines:\n{listing}"


def test_half_of_the_functions_are_under_ten_lines() -> None:
    found = all_lengths(*PACKAGES)
    longest = sorted(found, key=lambda name: -found[name])[:10]
    listing = "\n".join(f"{name}: {found[name]} lines" for name in longest)
    middle = median(found.values())
    assert middle < MEDIAN_BELOW, f"median {middle} of {len(found)}; the longest:\n{listing}"
