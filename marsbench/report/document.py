"""What a report is made of, whatever it is printed as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from marsbench.report.canvas import Drawing
from marsbench.text.tables import Table


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. In all text, `code` stands between backticks; there is no other markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Paragraphs, each behind its name."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines of commands; one that ends in a backslash goes on in the next."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plate:
    """A figure with its name (its file's too) and the command that draws it again."""

    name: str
    drawing: Drawing
    command: str


Block = Text | Points | Facts | Commands | Table | Plate


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it. An appendix comes last; Markdown folds it away.

    alone: where there are pages, it has its own.
    """

    id: str
    title: str
    blocks: tuple[Block, ...]
    appendix: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A report."""

    title: str
    byline: str
    sections: tuple[Section, ...]

    def plates(self) -> Sequence[Plate]:
        """All figures, in order."""
        return [b for section in self.sections for b in section.blocks if isinstance(b, Plate)]
