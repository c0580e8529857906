"""What the documents' site is made of: its files, its navigation, and where each link leads.

A page keeps its path in the repository, so a link is what it is on disk; but the front page stands
at the top, and the README beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, normpath, relpath

from environment import ROOT

REPOSITORY = "https://github.com/marsbench/marsbench"
FRONT = "reports/map.md"
INDEX = "docs/index.md"
ELSEWHERE = {FRONT: "index.md", "README.md": "readme.md"}
FILES = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**/*.md", "reports/**/*.md"),
    *("reports/**/*.svg", "reports/*.csv", "reports/*.pdf"),
)

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| \[[^]]+\]\(([^)#]+\.md)\)", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:)[^()#\s]+(?=[)#])")
TAG = re.compile(r"\[([A-Z]+)\](?= \[)")
"""In Markdown as it was first, `[NEW] [a page](…)` is one link; on GitHub it is not."""

Entry = str | dict[str, str] | dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Pages:
    """The files of the site, by their paths in the repository at `root`."""

    root: Path
    files: frozenset[str]

    @classmethod
    def of(cls, root: Path = ROOT) -> Pages:
        """Those that lie there now."""
        found = (path for pattern in FILES for path in root.glob(pattern))
        return cls(root, frozenset(path.relative_to(root).as_posix() for path in found))

    def navigation(self) -> list[Entry]:
        """The front page, a section for each heading of the index, the reports, the index."""
        _, *parts = HEADING.split((self.root / INDEX).read_text(encoding="utf-8"))
        reports = [name for name in self.files if re.fullmatch(r"reports/.+\.md", name)]
        return [
            at(FRONT),
            *({title: _pages(rows)} for title, rows in zip(parts[::2], parts[1::2], strict=True)),
            {"Reports": [at(name) for name in sorted(reports) if name != FRONT]},
            {"All documents": INDEX},
        ]

    def text(self, page: str) -> str:
        """A page as the site has it: what the site has not is led to the repository."""
        text = (self.root / page).read_text(encoding="utf-8")
        return LINK.sub(lambda match: self._led(page, match[0]), TAG.sub(r"\\[\1\\]", text))

    def dead_links(self) -> Iterator[str]:
        """Each that leads to no file, with its page; those to a heading are for the generator."""
        for page in sorted(name for name in self.files if name.endswith(".md")):
            for target in LINK.findall((self.root / page).read_text(encoding="utf-8")):
                if not (self.root / meant(page, target)).exists():
                    yield f"{page}: {target}"

    def _led(self, page: str, target: str) -> str:
        path = meant(page, target)
        if path in self.files:
            return relpath(at(path), dirname(at(page)) or ".")
        kind = "tree" if (self.root / path).is_dir() else "blob"
        return f"{REPOSITORY}/{kind}/main/{path}"


def meant(page: str, target: str) -> str:
    """The path in the repository that a page's relative link means."""
    return normpath(f"{dirname(page) or '.'}/{target}")


def at(name: str) -> str:
    """Where the site has a file of the repository."""
    return ELSEWHERE.get(name, name)


def _pages(rows: str) -> list[str]:
    return [at(meant(INDEX, page)) for page in ROW.findall(rows)]
