"""Sessions of chats that name none: a chat that goes on where a known one stood is its next round.

A round is known by the hash of all its messages. A later request whose first messages hash to the
same is that chat's, if what follows them is what the model said then: two chats with one beginning
are told apart by their answers. A request that repeats a known one, and goes on no further, is a
chat of its own; so are a sub-agent that shares the system prompt alone, and a compacted chat.

Forking on purpose (a rewound chat, a retried round) stays with the session that it was forked from.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from marsbench.gateway.messages import Said, prefix_keys, said_in

KEPT = 100_000
"""Rounds that are remembered, the latest; some 95 MB."""
ALIKE = 256
"""Rounds of equal messages that are remembered."""


@dataclass(slots=True)
class ChatRound:
    """A request that was seen; `said` is filled in when its answer has come.

    key: the hash of its messages.
    """

    session_id: str
    key: bytes
    said: Said | None = None
    is_extended: bool = False

    def was_answered_by(self, told: Said) -> bool:
        """Whether what follows it in a later chat is its answer."""
        if self.said is None:
            return False
        if self.said.call_ids:
            return bool(self.said.call_ids & told.call_ids)
        return bool(self.said.texts) and self.said.texts <= told.texts

    @property
    def may_be_followed_by_anything(self) -> bool:
        """Whether its answer shows nothing: clients may change a text, but no call's id."""
        return self.said is None or not self.said.call_ids


class Chains:
    """Bounded memory of rounds, by the hash of their messages."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._num_kept = 0
        self._num_sessions = 0
        # Lists, for an empty deque takes 600 bytes, and nearly every one has one round.
        self._rounds: OrderedDict[bytes, list[ChatRound]] = OrderedDict()

    def __len__(self) -> int:
        return self._num_kept

    def follow(self, seed: Any, messages: Sequence[Any]) -> ChatRound:
        """Whose round this is, and a place to note its answer.

        seed: what is no message and yet tells chats apart, such as the model and instructions.
        """
        keys = prefix_keys(seed, messages)
        before = self._before(keys, messages)
        if before is None:
            self._num_sessions += 1
            session_id = f"chat-{keys[-1].hex()[:8]}-{self._num_sessions}"
        else:
            session_id, before.is_extended = before.session_id, True
        round_ = ChatRound(session_id, keys[-1])
        self._keep(round_)
        return round_

    def remember(self, round_: ChatRound) -> None:
        """A round of before a restart, which its chat goes on from; its name is not given again."""
        number = round_.session_id.rpartition("-")[2]
        if number.isdecimal():
            self._num_sessions = max(self._num_sessions, int(number))
        self._keep(round_)

    def _before(self, keys: Sequence[bytes], messages: Sequence[Any]) -> ChatRound | None:
        """The latest known round that this one goes on from."""
        for number in range(len(messages) - 1, 0, -1):
            rounds = self._rounds.get(keys[number])
            if rounds is None:
                continue
            told = reduce(or_, map(said_in, messages[number:]))
            if (found := _chosen(rounds, told)) is not None:
                self._rounds.move_to_end(keys[number])
                return found
        return None

    def _keep(self, round_: ChatRound) -> None:
        rounds = self._rounds.setdefault(round_.key, [])
        rounds.append(round_)
        self._num_kept += 1
        if len(rounds) > ALIKE:
            del rounds[0]
            self._num_kept -= 1
        self._rounds.move_to_end(round_.key)
        while self._num_kept > self._kept:
            _, oldest = self._rounds.popitem(last=False)
            self._num_kept -= len(oldest)


def _chosen(rounds: Sequence[ChatRound], told: Said) -> ChatRound | None:
    """Of rounds with equal messages: whose answer it is, those first that nothing followed yet."""
    answered = [one for one in rounds if one.was_answered_by(told)]
    fresh = [one for one in answered or rounds if not one.is_extended]
    if answered:
        return (fresh or answered)[0]
    return next((one for one in fresh if one.may_be_followed_by_anything), None)
