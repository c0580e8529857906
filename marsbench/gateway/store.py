"""Who was let in, in a small file: it survives a kill, and several gateways can stand on it.

SQLite, for it is fsynced, whole after a kill at any instant, and nothing of ours. A row is written
when a session is let in, before its request goes to the server, and removed when the session has
ended; so whoever opens the file next knows of every session that can be at the server. A chat
without a name can be asked for again only when it was answered, so its row is written then, with
the hash by which it is known.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from marsbench.core import events
from marsbench.errors import UsageError
from marsbench.gateway.messages import HASH_BYTES, Said

TABLES = """
CREATE TABLE IF NOT EXISTS gateway (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS places (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, parent TEXT,
    prompt_tokens INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chats (
    id TEXT PRIMARY KEY REFERENCES places(id) ON DELETE CASCADE,
    key BLOB, calls BLOB NOT NULL, texts BLOB NOT NULL, response TEXT);
"""
BUSY_S = 5.0


@dataclass(frozen=True, slots=True)
class KeptPlace:
    """A session in flight. num_prompt_tokens: of its first prompt."""

    id: str
    parent_id: str | None
    num_prompt_tokens: int


@dataclass(frozen=True, slots=True)
class KeptChat:
    """What a session is known by that names none.

    key: the hash of a round's messages. said: its answer. response_id: of the latest answer.
    """

    session_id: str
    key: bytes | None
    said: Said
    response_id: str | None


class Store:
    """The file, and the lock beside it that one gateway of several can hold."""

    def __init__(self, path: Path, what: str) -> None:
        """what: the decision that is kept here, in words. Raises UsageError for a file that is
        another one's, or none."""
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.executescript(TABLES)
            self._db.execute("INSERT OR IGNORE INTO gateway VALUES ('what', ?)", (what,))
        except (sqlite3.Error, OSError) as error:
            raise UsageError(
                f"--state {path} cannot be used ({error}); give a new file on a disk of this "
                "machine."
            ) from error
        if self._told("what") != what:
            raise UsageError(
                f"--state {path} is of a gateway with {self._told('what')}, this one has {what}; "
                "give another file, or start both alike."
            )
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take_lead(self) -> bool:
        """Whether this process may decide from now on; the system gives a dead one's lock back."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def announce(self, url: str, control_url: str) -> None:
        """Where the leader is asked."""
        self._db.execute(
            "INSERT OR REPLACE INTO gateway VALUES ('leader', ?)", (json.dumps([url, control_url]),)
        )

    def leader(self) -> tuple[str, str] | None:
        """What the latest leader announced: where it takes rounds, and where it is controlled."""
        told = self._told("leader")
        if told is None:
            return None
        url, control_url = json.loads(told)
        return url, control_url

    def _told(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM gateway WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def let_in(self, place: KeptPlace) -> None:
        """Durable when this returns."""
        self._db.execute(
            "INSERT OR REPLACE INTO places (id, parent, prompt_tokens) VALUES (?, ?, ?)",
            (place.id, place.parent_id, place.num_prompt_tokens),
        )

    def keep(self, place: KeptPlace, chat: KeptChat) -> None:
        """Of a session that is known by its chat; durable when this returns."""
        calls, texts = (b"".join(sorted(those)) for those in (chat.said.call_ids, chat.said.texts))
        row = (chat.session_id, chat.key, calls, texts, chat.response_id)
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO places (id, parent, prompt_tokens) VALUES (?, ?, ?)",
                (place.id, place.parent_id, place.num_prompt_tokens),
            )
            self._db.execute(
                "INSERT INTO chats VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "response = excluded.response",
                row,
            )

    def ended(self, session_id: str) -> None:
        """Its place is free; durable when this returns."""
        self._db.execute("DELETE FROM places WHERE id = ?", (session_id,))

    def places(self) -> list[KeptPlace]:
        """In the order in which they were let in."""
        rows = self._db.execute("SELECT id, parent, prompt_tokens FROM places ORDER BY number")
        return [KeptPlace(*row) for row in rows]

    def chats(self) -> list[KeptChat]:
        """By which sessions without a name are known, in the order in which these were let in."""
        rows = self._db.execute(
            "SELECT id, key, calls, texts, response FROM chats JOIN places USING (id) "
            "ORDER BY number"
        )
        return [
            KeptChat(name, key, Said(_parts(calls), _parts(texts)), response)
            for name, key, calls, texts, response in rows
        ]

    def has(self, session_id: str) -> bool:
        """Whether a request of the session may have gone to the server."""
        found = self._db.execute("SELECT 1 FROM places WHERE id = ?", (session_id,))
        return found.fetchone() is not None

    def close(self) -> None:
        """Also gives the lead back."""
        self._db.close()
        os.close(self._lock)


def _parts(joined: bytes) -> frozenset[bytes]:
    """The hashes that were written one behind the other."""
    return frozenset(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))


class Keeper:
    """Takes the gateway's events and writes those that change who is in.

    place: of a session that is in; None: it cannot be kept, or not yet.
    warn: is told why nothing could be written; the gateway goes on, and a restart would not know
        of it.
    """

    def __init__(
        self, store: Store, place: Callable[[str], KeptPlace | None], warn: Callable[[str], None]
    ) -> None:
        self._store = store
        self._place = place
        self._warn = warn
        self._chats: set[str] = set()

    def __call__(self, event: events.Event) -> None:
        """Returns when it is on the disk."""
        with self._warned():
            if isinstance(event, events.SessionAdmitted):
                if (place := self._place(event.session)) is not None:
                    self._store.let_in(place)
            elif isinstance(event, events.SessionEnded):
                self._chats.discard(event.session)
                self._store.ended(event.session)

    def answered(self, chat: KeptChat) -> None:
        """A round was answered of a session that is known by its chat, or by the response before.

        Once is enough for a chat: what it goes on with begins with what is kept.
        """
        if chat.key is not None and chat.session_id in self._chats:
            return
        if (place := self._place(chat.session_id)) is not None:
            with self._warned():
                self._store.keep(place, chat)
                self._chats.add(chat.session_id)

    @contextmanager
    def _warned(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._warn(f"the state file could not be written: {error}")
