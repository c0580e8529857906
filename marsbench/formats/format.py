"""What a reader of a format is, and how a file's format is recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from marsbench.formats.fallback import Fallback
from marsbench.formats.opening import opened, records_in
from marsbench.formats.reading import Contents, ReadError, failed
from marsbench.formats.table_rows import columns_of

_HEAD_BYTES = 2**18
_HEAD_RECORDS = 20
_LONGEST_LINE = 2**25
"""A first line is looked at to its end, for its last key may be the one that tells; up to here."""


@dataclass(frozen=True)
class Head:
    """A file's begin, or a folder: what a format is recognised by.

    data: the first bytes, unpacked and in UTF-8; none of a folder, and of a file that cannot be
        read.
    """

    path: Path
    data: bytes = b""

    @cached_property
    def records(self) -> tuple[Any, ...]:
        """The first records, of which the first may be the begin of a long one: an object with
        its first keys, and null behind those of which the value is not in the head."""
        found: list[Any] = []
        with suppress(ReadError):
            if len(self.data) > _HEAD_BYTES:  # a record so long is not parsed to be recognised
                return (dict.fromkeys(_first_keys(self.data)),)
            for _, text in islice(records_in(BytesIO(self.data), ""), _HEAD_RECORDS):
                with suppress(ValueError, RecursionError):
                    found.append(json.loads(text))
        return tuple(found) or (dict.fromkeys(_first_keys(self.data)),)

    @property
    def objects(self) -> list[Mapping[str, Any]]:
        """Those of the records that are objects."""
        return [record for record in self.records if isinstance(record, Mapping)]

    @cached_property
    def keys(self) -> frozenset[str]:
        """Of the first record that is an object."""
        return frozenset(self.objects[0]) if self.objects else frozenset()

    @cached_property
    def columns(self) -> frozenset[str]:
        """Of a Parquet table its columns, else the keys: for formats that are read from either."""
        return self.keys or columns_of(self.path)

    def has(self, *keys: str) -> bool:
        """Whether the first object has these keys."""
        return self.keys.issuperset(keys)

    def has_under(self, key: str, *keys: str) -> bool:
        """Whether the first object has this key, and the first one in its value has these."""
        if not self.has(key):
            return False
        value = self.objects[0][key]
        if value is None:  # not in the head, or not all of it
            at = self.data.find(f'"{key}"'.encode()) + len(key) + 2
            return set(keys) <= set(_first_keys(self.data[at:]))
        first = next(iter(value), None) if isinstance(value, list) else value
        return isinstance(first, Mapping) and set(keys) <= first.keys()

    @property
    def first_line(self) -> str:
        """Without its end."""
        return self.data.split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")


def head_of(path: Path) -> Head:
    """Of a folder, or of a file that cannot be read, without bytes."""
    with suppress(ReadError), opened(path) as file:
        data = file.read(_HEAD_BYTES)
        if b"\n" not in data and len(data) == _HEAD_BYTES:
            data += file.readline(_LONGEST_LINE)
        return Head(path, data)
    return Head(path)


_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|[{}\[\]:]')


def _first_keys(data: bytes) -> list[str]:
    """The keys of the first object of a text that may end in the middle of it."""
    keys: list[str] = []
    depth, before = 0, b""
    begin = data.find(b"{")
    for token in _TOKEN.finditer(data, max(begin, 0)):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
        elif mark == b":" and depth == 1:
            keys.append(before.decode("utf-8", "replace"))
        if depth == 0:
            break
        before = token.group(1) or b""
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One that we read.

    name: as it is typed. title: what a sentence calls such a file.
    tried: versions that real files of were read, each with a date.
    recognise: why a head is of this format, as "its rows have ..."; None where it is not.
    read: the contents of one file or folder. Raises ReadError for one that cannot be read; one
        bad session is a source of its own that raises.
    has_arrivals: whether sessions arrive as they did, unless told otherwise.
    takes_folders: whether a folder is handed to `read` as it is.
    """

    name: str
    title: str
    tried: tuple[str, ...]
    recognise: Callable[[Head], str | None]
    read: Callable[[Path, Fallback], Contents]
    has_arrivals: bool = False
    takes_folders: bool = False

    def contents(self, path: Path, fallback: Fallback) -> Contents:
        """What is in it; a file that cannot be read is one problem among the others."""
        try:
            return self.read(path, fallback)
        except ReadError as error:
            return Contents((failed(str(path), error),))
