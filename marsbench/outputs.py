"""Files that a user names: written whole or not at all, and never put in another thing's place.

A link is followed, and what it points to is replaced; a device or a pipe is written to. What
stood there before is lost only when the new content is complete.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tarfile import TarFile, TarInfo
from typing import IO, Any

SYSTEM = ("/dev/", "/proc/")
"""Where names stand for open files (/dev/stdout): another file there would be another thing."""


def save_text(path: Path, text: str) -> None:
    """Writes the text in UTF-8. Raises OSError."""
    save(path, [text.encode()])


def save(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes the chunks. Raises OSError, and then what stood there before stands there still."""
    if is_written_through(path):
        with path.open("wb") as file:
            file.writelines(chunks)
        return
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.writelines(chunks)
            _to_disk(file)
        part.replace(target)
    finally:
        # What cannot be made cannot be removed either, and the first error is the one to tell.
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises OSError when nothing can be written there; writes nothing."""
    if is_written_through(path):
        return
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.open("wb").close()
    part.unlink()


def is_written_through(path: Path) -> bool:
    """Whether the content goes into what is there: a device, a pipe, a terminal.

    Raises IsADirectoryError for a folder.
    """
    if str(path.absolute()).startswith(SYSTEM):
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return not stat.S_ISREG(mode)


def _to_disk(file: IO[bytes]) -> None:
    """So that a power cut leaves the old content or the new one."""
    file.flush()
    os.fsync(file.fileno())


def cache_folder(name: str) -> Path:
    """Where what costs time to have again is kept for the user; it may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "marsbench" / name


def unpack(archive: TarFile, into: Path, members: Iterable[TarInfo] | None = None) -> None:
    """What an archive holds, in a folder; unsafe names are refused from Python 3.11.4 on."""
    safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    archive.extractall(into, members, **safe)  # noqa: S202  (of our own making)
