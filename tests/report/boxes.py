"""A PDF's own boxes: where its glyphs, rules and table cells lie, in points from the lower left."""

from __future__ import annotations

import ctypes
import math
from typing import NamedTuple

import pypdfium2 as pdfium
import pypdfium2.raw as raw

THIN, SHORT = 2.2, 20.0
"""Points: no rule is thicker, and none is shorter."""
ROW = 120.0
"""Points: no row of a table is higher; what is, is the ground of a figure."""


class Box(NamedTuple):
    """An upright rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def width(self):
        return self.right - self.left

    @property
    def height(self):
        return self.top - self.bottom

    def overlap(self, other):
        """Width and height of what both cover; not positive where they do not meet."""
        return (
            min(self.right, other.right) - max(self.left, other.left),
            min(self.top, other.top) - max(self.bottom, other.bottom),
        )


class Glyph(NamedTuple):
    """A letter: what it is, where its ink is, and its size in points as printed."""

    text: str
    box: Box
    size: float
    word: int


class Page(NamedTuple):
    """One page: its glyphs and its rules; cells are the filled rectangles behind text."""

    number: int
    width: float
    height: float
    glyphs: list[Glyph]
    rules: list[Box]
    cells: list[Box]
    ink: list[Box]

    def word(self, number):
        """The word that a glyph belongs to."""
        return "".join(glyph.text for glyph in self.glyphs if glyph.word == number)


def pages_of(pdf):
    """Every page of a PDF given as bytes."""
    document = pdfium.PdfDocument(pdf)
    return [_page(document[number], number + 1) for number in range(len(document))]


def _page(page, number):
    drawn = [o for o in page.get_objects(max_depth=1) if o.type != raw.FPDF_PAGEOBJ_TEXT]
    boxes = [clipped for found in drawn if (clipped := _clipped(found)).width >= 0]
    rules = [box for box in boxes if min(box[2] - box[0], box[3] - box[1]) < THIN
             and max(box[2] - box[0], box[3] - box[1]) > SHORT]  # fmt: skip
    filled = [Box(*o.get_bounds()) for o in drawn if _is_filled(o)]
    cells = [b for b in filled if THIN < b.height < ROW and b.width > THIN]
    glyphs = _glyphs(page.get_textpage())
    return Page(number, *page.get_size(), glyphs, rules, cells, boxes)


def _clipped(found):
    """Where an object shows: a line that leaves its axes is cut off there."""
    box, clip = Box(*found.get_bounds()), raw.FPDFPageObj_GetClipPath(found.raw)
    for number in range(max(raw.FPDFClipPath_CountPaths(clip), 0)):
        points = [_point(clip, number, part)
                  for part in range(raw.FPDFClipPath_CountPathSegments(clip, number))]  # fmt: skip
        if points:
            xs, ys = zip(*points, strict=True)
            box = Box(max(box.left, min(xs)), max(box.bottom, min(ys)),
                      min(box.right, max(xs)), min(box.top, max(ys)))  # fmt: skip
    return box


def _point(clip, number, part):
    x, y = ctypes.c_float(), ctypes.c_float()
    raw.FPDFPathSegment_GetPoint(raw.FPDFClipPath_GetPathSegment(clip, number, part), x, y)
    return x.value, y.value


def _is_filled(found):
    mode, stroke = ctypes.c_int(), ctypes.c_int()
    if found.type != raw.FPDF_PAGEOBJ_PATH:
        return False
    raw.FPDFPath_GetDrawMode(found.raw, mode, stroke)
    return bool(mode.value) and not stroke.value


def _glyphs(text):
    found, word = [], 0
    for index in range(text.count_chars()):
        letter = text.get_text_range(index, 1)
        if not letter.strip() or raw.FPDFText_IsGenerated(text, index) == 1:
            word += 1
            continue
        box = Box(*text.get_charbox(index))
        if box.width > 0 and box.height > 0:
            found.append(Glyph(letter, box, _size(text, index), word))
    return found


def _size(text, index):
    """The size of a font as it is printed: a figure's own size times how far it was scaled."""
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, index, matrix)
    return raw.FPDFText_GetFontSize(text, index) * math.hypot(matrix.c, matrix.d)


def overlapping(page, least=0.7):
    """Pairs of words whose glyphs lie on each other by more than `least` points both ways."""
    found = set()
    ordered = sorted(page.glyphs, key=lambda glyph: glyph.box.left)
    for number, glyph in enumerate(ordered):
        for other in ordered[number + 1 :]:
            if other.box.left > glyph.box.right - least:
                break
            if other.word != glyph.word and min(glyph.box.overlap(other.box)) > least:
                found.add((page.word(glyph.word), page.word(other.word)))
    return sorted(found)


def outside(page, margins, foot):
    """Words that leave the page's text area; what ends below `foot` is the page's number.

    margins: left, bottom, right, top, in points.
    """
    area = Box(margins[0], margins[1], page.width - margins[2], page.height - margins[3])
    return sorted(
        {
            page.word(g.word)
            for g in page.glyphs
            if g.box.top > foot
            and (
                g.box.left < area.left - 0.5
                or g.box.right > area.right + 0.5
                or g.box.bottom < area.bottom - 0.5
                or g.box.top > area.top + 0.5
            )
        }
    )


def ruled(page, least=1.0):
    """Words with a rule through them, or closer to them than `least` points."""
    found = set()
    for rule in page.rules:
        level = rule.height < rule.width
        x, y = (rule.left + rule.right) / 2, (rule.bottom + rule.top) / 2
        line = Box(rule.left, y, rule.right, y) if level else Box(x, rule.bottom, x, rule.top)
        for glyph in page.glyphs:
            if min(glyph.box.overlap(line)) > -least:
                found.add(page.word(glyph.word))
    return sorted(found)


def leaving(page):
    """Words that stand in two cells of a table at once; only shaded rows have cells to be seen."""
    found = {}
    for number, cell in enumerate(page.cells):
        for glyph in page.glyphs:
            x = (glyph.box.left + glyph.box.right) / 2
            y = (glyph.box.bottom + glyph.box.top) / 2
            if cell.left < x < cell.right and cell.bottom < y < cell.top:
                found.setdefault(glyph.word, set()).add(number)
    return sorted(page.word(word) for word, cells in found.items() if len(cells) > 1)


def filled(page, margins, side=24.0):
    """The share of the text area that text and figures take, in squares of `side` points."""
    columns = int((page.width - margins[0] - margins[2]) / side)
    rows = int((page.height - margins[1] - margins[3]) / side)
    taken = set()
    for box in [*(glyph.box for glyph in page.glyphs), *page.ink]:
        left, right = (int((x - margins[0]) // side) for x in (box.left, box.right))
        bottom, top = (int((y - margins[1]) // side) for y in (box.bottom, box.top))
        taken |= {
            (column, row)
            for column in range(max(left, 0), min(right + 1, columns))
            for row in range(max(bottom, 0), min(top + 1, rows))
        }
    return len(taken) / (columns * rows)


def blank(page, margins):
    """The highest band across the text area that nothing stands in, as a share of its height."""
    low, high = margins[1], page.height - margins[3]
    seen = [*(glyph.box for glyph in page.glyphs), *page.ink]
    edges = sorted((box.bottom, box.top) for box in seen if box.top > low)
    widest, end = 0.0, low
    for bottom, top in [*edges, (high, high)]:
        widest, end = max(widest, bottom - end), max(end, top)
    return widest / (high - low)


def smallest(page):
    """The smallest type of a page, in points."""
    return min(glyph.size for glyph in page.glyphs)
