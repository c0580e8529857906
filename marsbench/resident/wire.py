"""What a command and the resident process say to each other: a JSON object with open files."""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any

_SIZE = struct.Struct(">I")
STANDARD = (0, 1, 2)
"""Standard input, output and errors go with the first message."""


def send(connection: socket.socket, message: dict[str, Any], files: tuple[int, ...] = ()) -> None:
    """Raises OSError when nobody takes it."""
    body = json.dumps(message).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    connection.sendmsg([_SIZE.pack(len(body))], rights)
    connection.sendall(body)


def receive(connection: socket.socket, num_files: int = 0) -> tuple[dict[str, Any], list[int]]:
    """A message and the files that came with it. Raises EOFError when the other side is gone."""
    room = socket.CMSG_SPACE(num_files * array.array("i").itemsize)
    head, rights, _, _ = connection.recvmsg(_SIZE.size, room)
    files = array.array("i")
    for _level, kind, data in rights:
        if kind == socket.SCM_RIGHTS:
            files.frombytes(data)
    head += _exactly(connection, _SIZE.size - len(head))
    message = json.loads(_exactly(connection, _SIZE.unpack(head)[0]))
    return message, list(files)


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError("the other side is gone")
        parts += part
    return bytes(parts)
