"""Whose round a request is: as it says, or else as its chat shows."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from marsbench.gateway.chains import Chains, ChatRound
from marsbench.gateway.reading import WhatWasSaid
from marsbench.gateway.request import RoundRequest
from marsbench.gateway.store import KeptChat

log = logging.getLogger("marsbench.gateway")

How = Literal["named", "inferred", "passed on"]

KEPT_RESPONSES = 100_000
FEW = 0.05
"""The share of rounds that may be nobody's before it is said."""
ENOUGH = 20
"""Rounds before that."""


@dataclass(frozen=True, slots=True)
class Whose:
    """The session of a round; None: nobody's, and it passes at once.

    chat: that it is known by. goes_on: it is known by the response that it goes on from.
    """

    session_id: str | None
    how: How
    chat: ChatRound | None = None
    goes_on: bool = False


class Attribution:
    """Remembers chats that have no name, and which response is whose; counts."""

    def __init__(self) -> None:
        self._chains = Chains()
        self._responses: OrderedDict[str, str] = OrderedDict()
        self._warn_at = ENOUGH
        self.counts: dict[How, int] = {"named": 0, "inferred": 0, "passed on": 0}

    def of(self, asked: RoundRequest) -> Whose:
        """Whose round that is; it counts."""
        whose = self._whose(asked)
        self.counts[whose.how] += 1
        self._warn()
        return whose

    def _whose(self, asked: RoundRequest) -> Whose:
        if asked.session_id is not None:
            return Whose(asked.session_id, "named")
        if asked.previous_response_id is not None:
            previous = asked.previous_response_id
            return Whose(self._responses.get(previous, previous), "named", goes_on=True)
        if not asked.messages:
            return Whose(None, "passed on")
        chat = self._chains.follow(asked.seed, asked.messages)
        return Whose(chat.session_id, "inferred", chat)

    def answered(self, whose: Whose, what: WhatWasSaid) -> None:
        """The round was answered so."""
        if whose.chat is not None:
            whose.chat.said = what.said
        if what.response_id is not None and whose.session_id is not None:
            self._responded(what.response_id, whose.session_id)

    def _responded(self, response_id: str, session_id: str) -> None:
        self._responses[response_id] = session_id
        self._responses.move_to_end(response_id)
        if len(self._responses) > KEPT_RESPONSES:
            self._responses.popitem(last=False)

    def restore(self, chats: Iterable[KeptChat]) -> None:
        """Chats that a gateway which is gone knew: their next rounds are known by them."""
        for kept in chats:
            if kept.key is not None:
                self._chains.remember(ChatRound(kept.session_id, kept.key, kept.said))
            if kept.response_id is not None:
                self._responded(kept.response_id, kept.session_id)

    @property
    def passed_on_share(self) -> float | None:
        """Of all rounds, those that no controller was asked about."""
        total = sum(self.counts.values())
        return self.counts["passed on"] / total if total else None

    def _warn(self) -> None:
        """Once, and again whenever there are twice as many."""
        passed, share = self.counts["passed on"], self.passed_on_share or 0.0
        if share <= FEW or sum(self.counts.values()) < self._warn_at:
            return
        self._warn_at = 2 * sum(self.counts.values())
        log.warning(
            "%d of %d rounds (%.0f %%) name no session and are no chat, so they pass uncontrolled; "
            "name them in a header, or say which one does with --session-header "
            "(docs/gateway-sessions.md).",
            passed,
            sum(self.counts.values()),
            100 * share,
        )
