"""What a report is made of, whatever it is printed as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from marsbench.report.figures import Drawing


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. In all text, `code` stands between backticks; there is no other markup."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    kind: ClassVar[str] = "points"
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines of commands; one that ends in a backslash goes on in the next."""

    kind: ClassVar[str] = "code"
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a head; columns from `right` on are numbers, but for those in `words`."""

    kind: ClassVar[str] = "table"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: int = 1
    words: tuple[int, ...] = ()

    def is_number(self, column: int) -> bool:
        """Whether a column is set to the right."""
        return column >= self.right and column not in self.words


@dataclass(frozen=True, slots=True)
class Plate:
    """A figure with its name (its file's too) and the command that draws it again."""

    kind: ClassVar[str] = "plate"
    name: str
    drawing: Drawing
    command: str


Block = Text | Points | Code | Table | Plate


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it. An appendix comes last; Markdown folds it away."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    appendix: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A report."""

    title: str
    byline: str
    sections: tuple[Section, ...]

    def plates(self) -> Sequence[Plate]:
        """All figures, in order."""
        return [b for section in self.sections for b in section.blocks if isinstance(b, Plate)]
