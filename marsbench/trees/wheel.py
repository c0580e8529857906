"""The Python files of a wheel: what a scheduler needs of one whose kernels make it 300 MB.

A wheel is a ZIP file, whose list of contents says where each file lies. Of one on a server that
hands out parts, the parts with Python in them are read, and the others never leave it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import httpx

from marsbench.errors import MarsbenchError
from marsbench.trees.sources import PACKAGE

BLOCK = 1 << 20
KEPT_BLOCKS = 8


class RemoteFile(io.RawIOBase):
    """A file on a server, read in blocks as it is asked for. Raises MarsbenchError."""

    def __init__(self, client: httpx.Client, url: str, size: int) -> None:
        self._client = client
        self._url = url
        self._size = size
        self._at = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        numbers = range(self._at // BLOCK, -(-end // BLOCK))
        found = b"".join(map(self._block, numbers))
        begin = self._at - self._at // BLOCK * BLOCK
        part = found[begin : begin + max(0, end - self._at)]
        self._at += len(part)
        return part

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            while len(self._blocks) >= KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[number] = self._fetched(number * BLOCK)
        return self._blocks[number]

    def _fetched(self, begin: int) -> bytes:
        last = min(self._size, begin + BLOCK) - 1
        try:
            answer = self._client.get(self._url, headers={"Range": f"bytes={begin}-{last}"})
        except httpx.HTTPError as error:
            raise MarsbenchError(
                f"The download stopped ({error or type(error).__name__}); type the same again: it "
                "goes on where it stopped."
            ) from error
        if answer.status_code != httpx.codes.PARTIAL_CONTENT:
            raise MarsbenchError(
                f"The package index does not hand out parts of a wheel (status "
                f"{answer.status_code}); type `pip download vllm==VERSION --no-deps` and give the "
                "file, as in --vllm ./vllm-….whl."
            )
        return answer.content


def unpack(file: IO[bytes], into: Path, progress: Callable[[int, int], None]) -> None:
    """The package's Python files and the distribution's own, each as the wheel's RECORD has it.

    What an earlier try left is taken over. progress: how many files are there, and of how many.
    Raises MarsbenchError for a file that is not as recorded, or no wheel.
    """
    try:
        with zipfile.ZipFile(file) as wheel:
            hashes = _recorded(wheel)
            wanted = sorted(filter(_is_wanted, wheel.infolist()), key=lambda m: m.header_offset)
            for number, member in enumerate(wanted, start=1):
                _take(wheel, member, into, hashes)
                progress(number, len(wanted))
    except zipfile.BadZipFile as error:
        raise MarsbenchError(f"This is no wheel: {error}; give a .whl file of vLLM.") from error


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    top, _, rest = member.filename.partition("/")
    is_python = top == PACKAGE and rest.endswith((".py", "py.typed"))
    return is_python or (top.endswith(".dist-info") and rest in ("METADATA", "entry_points.txt"))


def _take(
    wheel: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, hashes: Mapping[str, str]
) -> None:
    path, wanted = into / member.filename, hashes.get(member.filename)
    if not path.resolve().is_relative_to(into.resolve()):
        raise MarsbenchError(f"The wheel has a file outside of itself: {member.filename}.")
    if path.is_file() and _hash(path.read_bytes()) == wanted:
        return
    content = wheel.read(member)
    if _hash(content) != wanted:
        raise MarsbenchError(
            f"{member.filename} is not what the wheel's RECORD says; type the same again."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _recorded(wheel: zipfile.ZipFile) -> dict[str, str]:
    """sha256 by name."""
    names = (name for name in wheel.namelist() if name.endswith(".dist-info/RECORD"))
    name = next(names, None)
    if name is None:
        raise MarsbenchError("The wheel has no RECORD to check its files by; give another.")
    return dict(_rows(wheel.read(name).decode()))


def _rows(text: str) -> Iterator[tuple[str, str]]:
    for row in csv.reader(text.splitlines()):
        if len(row) > 1:
            yield row[0], row[1].removeprefix("sha256=")


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
