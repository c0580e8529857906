"""Names on the wire: a run's session ids with a nonce, so that two runs share no session anywhere.

The same workload has the same ids in every run, so that runs can be compared session by session.
A gateway, and vLLM's own table of sessions, would take the second run's rounds for the first one's
if that was killed. No figure knows the nonce: it is taken off before anything is written down.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable

NONCE_BYTES = 6
LONGEST = 200
"""Bytes of an id that goes as it is; gateways take names of 256."""


def draw() -> str:
    """Twelve hexadecimal digits that no other run has: the system's dice, of no named seed."""
    return os.urandom(NONCE_BYTES).hex()


def after_id(session: str, nonce: str) -> str:
    """ "ilr-1-0007#4f3a9c1e22aa". The mark sorts before every letter, digit, dash and slash, so
    sessions keep their order."""
    if len(session.encode()) > LONGEST:
        session = hashlib.sha256(session.encode()).hexdigest()
    return f"{session}#{nonce}"


def in_uuid(session: str, nonce: str) -> str:
    """A UUID whose last twelve digits are the nonce: some frameworks take no other names."""
    return session[: -len(nonce)] + nonce


class WireNames:
    """What a run's sessions are called at the server, and whose a name there is.

    form: makes the name of an id and the nonce; every name ends with the nonce.
    """

    def __init__(self, form: Callable[[str, str], str] = after_id) -> None:
        self.nonce = draw()
        self._form = form
        self._own: dict[str, str] = {}

    def of(self, session: str) -> str:
        """The session's name on the wire."""
        name = self._form(session, self.nonce)
        self._own[name] = session
        return name

    def own(self, name: str) -> str | None:
        """The session of that name; None where it is none of this run's."""
        return self._own.get(name)
