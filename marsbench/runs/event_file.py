"""The events of a run on disk: plain lines while it is played, packed when it is complete.

Plain, because whoever looks on reads them, and a kill leaves all but the last few. Packed with
zstd, because they are by far the largest file of a run, and that makes a ninth of them.

Another zstd may pack the same lines into other bytes. So nothing is decided by those: what is
hashed and compared are the lines, under the name that they were written to first.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from marsbench.errors import UsageError
from marsbench.outputs import save

EVENTS = "events.jsonl"
PACKED = f"{EVENTS}.zst"
LEVEL = 1
"""Of 78 MB of events it makes 9.2, in 0.13 CPU s; level 3 makes 10.1, level 5 9.4 in 0.5."""
FRAME_BYTES = 2**22


def event_file(folder: Path) -> Path | None:
    """The file that holds the events of a run, for what is said of it; None where none does."""
    there = (folder / name for name in (EVENTS, PACKED))
    return next((path for path in there if path.is_file()), None)


@contextmanager
def open_events(folder: Path) -> Iterator[io.BufferedReader]:
    """The lines of a run's events, one at a time, packed or not.

    Where both forms are there the plain one is read: whoever packs removes it last.
    Raises FileNotFoundError where none is, UsageError for one that cannot be unpacked.
    """
    with _opened(folder) as file:
        try:
            yield file
        except OSError as error:
            if error.errno is not None:
                raise
            raise UsageError(
                f"{folder / PACKED} is cut short or damaged; put back the file that the run "
                "wrote, or play the run again."
            ) from error


def _opened(folder: Path) -> io.BufferedReader:
    """It does not look before it opens: a run that ends meanwhile has the other form then."""
    try:
        return (folder / EVENTS).open("rb")
    except FileNotFoundError:
        import pyarrow  # type: ignore[import-untyped]

        unpacked = pyarrow.input_stream(folder / PACKED, compression="zstd")
        return io.BufferedReader(unpacked, 2**16)


def events_hash(folder: Path) -> str:
    """The SHA-256 of the lines, the same whichever form they have. Raises as `open_events`."""
    with open_events(folder) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack(folder: Path) -> None:
    """Puts the packed file in the place of the plain one; at no instant is neither there.

    Raises OSError when the disk does not take it; the plain one is there then as before.
    """
    plain = folder / EVENTS
    with plain.open("rb") as lines:
        save(folder / PACKED, _frames(lines))
    _names_to_disk(folder)
    plain.unlink()


def _frames(lines: io.BufferedReader) -> Iterator[bytes]:
    """zstd frames one after another, which every reader of zstd takes for one file."""
    import pyarrow

    codec = pyarrow.Codec("zstd", compression_level=LEVEL)
    for chunk in iter(partial(lines.read, FRAME_BYTES), b""):
        yield codec.compress(chunk, asbytes=True)


def _names_to_disk(folder: Path) -> None:
    """So that a power cut cannot keep the removal and lose the new name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
