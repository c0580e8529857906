"""Files of others as bytes, lines or JSON records, one at a time, packed or not.

Bytes and not text: of a line that holds one character outside of Latin-1, Python keeps two or
four bytes a character. A line ends at a line feed, and at no other of Unicode's separators.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    SessionSource,
    json_of,
    sources_of,
)

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LONGEST = 2**28
"""Characters of one element of a JSON array; a longer one is no session."""

_KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the file; type `git lfs pull`"),
    (0, b"/annex/objects", "is a pointer of git-annex, not the file; type `git annex get`"),
    (0, b"PK\x03\x04", "is a zip archive; unpack it, and give what is in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it, and give what is in it"),
    (0, b"BZh", "is packed with bzip2; unpack it, or pack it with gzip or zstd"),
    (0, b"\xfd7zXZ\x00", "is packed with xz; unpack it, or pack it with gzip or zstd"),
    (257, b"ustar", "is a tar archive; unpack it, and give the folder"),
    (0, b"PAR1", "is a Parquet table; type `marsbench workload import hf FILE`"),
    (0, b"SQLite format 3\x00", "is an SQLite database; export its rows as JSON lines"),
    (0, b"%PDF-", "is a PDF"),
    (0, b"<!DOCTYPE html", "is a web page; download the file itself"),
    (0, b"<html", "is a web page; download the file itself"),
)
_PEEKED = 512


def foreign(head: bytes) -> str | None:
    """What a file is by its first bytes, where it holds no text of a recording."""
    for place, mark, said in _KINDS:
        if head[place : place + len(mark)] == mark:
            return said
    return None


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file's bytes in UTF-8, unpacked, without a byte-order mark.

    Raises ReadError for one that cannot be read, on the way if it is damaged there.
    """
    try:
        with path.open("rb") as raw:
            yield _text(_unpacked(raw))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ReadError(_DAMAGED) from error
    except UnicodeDecodeError as error:
        raise ReadError("is not text but binary") from error
    except OSError as error:  # without a number it is the unpacker's
        why = _DAMAGED if error.errno is None else (error.strerror or str(error)).lower()
        raise ReadError(why) from error


_DAMAGED = "is cut short or damaged, unpack it to see"


def _unpacked(raw: io.BufferedReader) -> io.BufferedReader:
    head = raw.peek(4)
    if head.startswith(GZIP):
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 2**16)
    if head.startswith(ZSTD):
        import pyarrow  # type: ignore[import-untyped]

        stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, "r"), "zstd")
        return io.BufferedReader(stream, 2**16)
    return raw


def _text(file: io.BufferedReader) -> BinaryIO:
    """Past the byte-order mark; what Windows writes as UTF-16 in UTF-8. Raises ReadError."""
    head = file.peek(_PEEKED)[:_PEEKED]
    said = foreign(head)
    if said is not None:
        raise ReadError(said)
    if head.startswith(codecs.BOM_UTF8):
        file.read(len(codecs.BOM_UTF8))
        return file
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\x00" in head[2:]:
        return _Recoded(io.TextIOWrapper(file, encoding="utf-16", newline="\n"))
    return file


class _Recoded(io.BytesIO):
    """A text of another encoding in UTF-8, a line at a time."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        super().__init__()
        self._text = text

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def readline(self, size: int | None = -1) -> bytes:
        count = -1 if size is None else size
        return self._text.readline(count).encode("utf-8", "surrogatepass")

    def read(self, size: int | None = -1) -> bytes:
        count = -1 if size is None else size
        return self._text.read(count).encode("utf-8", "surrogatepass")


def bytes_of(path: Path) -> bytes:
    """A whole file. Raises ReadError."""
    with opened(path) as file:
        return file.read()


def document_sources(path: Path, read: Callable[[Any, str], Reading], suffix: str = "") -> Contents:
    """A file that is one session, or JSON lines of which each is one.

    `read` gets its JSON and its name: the file's without the suffix, or with the line's number.
    """
    name = path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(suffix)

    def read_line(record: Any, place: str) -> Reading:
        return read(record, f"{name}-{place.rpartition(':')[2]}")

    if _is_lines(path):
        return Contents(sources_of(records_of(path), read_line, str(path)))
    return Contents((SessionSource(str(path), lambda: read(json_of(bytes_of(path)), name)),))


def _is_lines(path: Path) -> bool:
    """Whether its first line is an object, and there is another line."""
    try:
        with opened(path) as file:
            begin = _begin(file)
            first = (begin + file.readline()).strip() if begin.endswith(b"{") else b""
            rest = _begin(file) if first else b""
    except ReadError:
        return False
    return first.endswith(b"}") and bool(rest.strip())


def lines_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that hold anything, each with its place, "FILE:LINE".

    Raises ReadError when the file cannot be read, on the way if it is damaged there.
    """
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.isspace():
                yield f"{path}:{number}", line.rstrip(b"\r\n")


def records_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON records of a file, each with its place. Raises ReadError as `lines_of`."""
    with opened(path) as file:
        yield from records_in(file, str(path))


def elements_under(key: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """The elements of the array under a key, one at a time, of a file that is one object.

    The key is the first whose value is an array. Raises ReadError when the file cannot be read.
    """
    with opened(path) as file:
        begin = b""
        while not begin.endswith(b"[") and len(begin) < _PEEKED:
            begin += file.read(1)
        if f'"{key}"'.encode() not in begin:
            raise ReadError(f"{key}: it is no array")
        for place, text in _elements(str(path), file, b"["):
            if not text.lstrip(b"[ \r\n\t").startswith(b"]"):  # what is behind the array's end
                yield place, text


def records_in(file: BinaryIO, where: str) -> Iterator[tuple[str, bytes]]:
    """The JSON records: of one object, an array, or JSON lines, each with its place.

    An array's elements come one at a time, "FILE[3]"; an object over many lines is one record,
    "FILE". The text is not looked at but for where it ends: a line that is no JSON is a record,
    and whoever reads it says so.
    """
    begin = _begin(file)
    if begin.endswith(b"["):
        yield from _elements(where, file, begin.lstrip())
        return
    first = begin + file.readline()
    line = first.strip()
    if line.startswith(b"{") and line.endswith(b"}"):
        yield from _lines(where, file, first)
    else:
        yield where, first + file.read()


def _begin(file: BinaryIO) -> bytes:
    """Up to the first byte that is no space: an array of one line is never read as a line."""
    found = b""
    while True:
        byte = file.read(1)
        found += byte
        if not byte or not byte.isspace():
            return found


def _lines(where: str, file: BinaryIO, first: bytes) -> Iterator[tuple[str, bytes]]:
    """The records of a file whose first line is one: that alone is the file."""
    number = first.rstrip().count(b"\n") + 1
    rest = ((n, line) for n, line in enumerate(file, number + 1) if not line.isspace())
    second = next(rest, None)
    yield where if second is None else f"{where}:{number}", first.strip()
    for place, line in chain((second,) if second else (), rest):
        yield f"{where}:{place}", line.rstrip(b"\r\n")


def _elements(where: str, file: BinaryIO, begin: bytes) -> Iterator[tuple[str, bytes]]:
    """The elements of an array, each as its JSON; what does not end is the last of them."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    text, at, number = decode(begin), 1, 0
    while True:
        at = _past_space(text, at)
        end = _end(text, at)
        if end is not None:
            yield f"{where}[{number}]", text[at:end].encode("utf-8", "surrogatepass")
            at, number = end, number + 1
            continue
        chunk = b"" if text.startswith("]", at) else file.read(max(2**20, len(text) - at))
        if not chunk or len(text) - at > _LONGEST:
            break
        text, at = text[at:] + decode(chunk), 0
    rest = text[at:].strip()
    if rest != "]" or number == 0:
        place = f"{where}[{number}]" if number else where
        yield place, (rest if number else f"[{rest}").encode("utf-8", "surrogatepass")


_SPACE = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _end(text: str, at: int) -> int | None:
    """Where the JSON value ends that begins there; None where it does not, yet."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None
