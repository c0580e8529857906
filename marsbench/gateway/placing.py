"""Where a round goes among several servers: the router, what it is shown, and its own books."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from marsbench.clock import WallClock
from marsbench.core import events
from marsbench.core.workload.draws import stream
from marsbench.errors import UsageError
from marsbench.gateway.length import TokenizingServer, token_ids
from marsbench.gateway.member import Member
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.prompts import PIECE_TOKENS, PromptWriters, chained, of_bytes, of_tokens
from marsbench.gateway.request import RoundToSend, text_of
from marsbench.replicas.books import Books
from marsbench.replicas.router import ReplicaView, RoundToPlace, Router, of_index
from marsbench.serve.metrics_page import together

log = logging.getLogger("marsbench.gateway")


@dataclass(frozen=True, slots=True)
class ToPlace:
    """A round that needs a server. keys: of its prompt's blocks, for who hears of caches.

    is_told: it is a session's, so it is among the events. needs_response: of an earlier round.
    """

    ask: RoundToPlace
    keys: Sequence[bytes]
    is_told: bool
    needs_response: bool


@dataclass(slots=True, eq=False)
class Sent:
    """A round that a server has."""

    round: ToPlace
    member: Member
    has_token: bool = False
    is_over: bool = False


class RoundsPlaced:
    """Asks the router, and tells it what becomes of its rounds.

    tokenizer: is asked for token ids. emit: is told where rounds go, and which are lost.
    """

    def __init__(
        self,
        members: Sequence[Member],
        router: Router,
        tokenizer: TokenizingServer,
        clock: WallClock,
        emit: Callable[[events.Event], None],
    ) -> None:
        self.num_moves = 0
        self.router = router
        self.books = Books(member.index for member in members)
        self._members = members
        self._tokenizer = tokenizer
        self._clock = clock
        self._emit = emit
        self._writers = PromptWriters()
        self._dice = stream(0, "router")
        self._at: dict[str, Member] = {}
        self._num_nobodys = 0

    async def asked(self, round_: RoundToSend, content: bytes) -> ToPlace:
        """What the router is to be asked."""
        router, tokens = self.router, round_.asked.num_prompt_tokens
        size, keys = PIECE_TOKENS, list[bytes]()
        if router.hears_kv_events:
            size = together([one.told for one in self._up()]).block_size or Pressure().block_size
            ids = await token_ids(self._tokenizer, round_.asked, round_.path, content)
            if ids is not None:
                tokens, keys = len(ids), chained(b"", of_tokens(ids, size))
        elif router.reads_prompts:
            keys = chained(b"", of_bytes(text_of(content)))
        blocks = self._writers.segments(keys) if router.reads_prompts else ()
        session, number = self._free_key(round_)
        ask = RoundToPlace(
            *(self._clock.now, session, number, tokens, size, blocks, self._draw), _no_prefill_s
        )
        return ToPlace(ask, keys, round_.session is not None, round_.asked.needs_response)

    def place(self, round_: ToPlace) -> Sent:
        """Ask the router, of the servers that are up, and write down what it said."""
        ask = round_.ask
        views = [self._view(member, round_) for member in self._up()]
        there = self._at.get(ask.session)
        if round_.needs_response and there is not None and there.is_up:
            index = there.index  # nobody else has the response that it goes on from
        else:
            index = _named(self.router.route(ask, views), views)
        self.router.placed(ask, index)
        self.books.placed(ask, index, of_index(views, index).matched_tokens or 0)
        member = self._members[index]
        member.num_rounds += 1
        if round_.is_told:
            self.num_moves += there is not None and there is not member
            self._at[ask.session] = member
            self._emit(events.Placed(self._clock.now, ask.session, ask.round, index))
        return Sent(round_, member)

    def first_token(self, sent: Sent) -> None:
        """Its answer has begun."""
        key, sent.has_token = sent.round.ask.key, True
        self.books.first_token(key)
        self.router.first_token(key, self._clock.now)

    def over(self, sent: Sent, is_lost: bool = False) -> None:
        """Its answer has ended, or never came. is_lost: with its server."""
        sent.is_over, key = True, sent.round.ask.key
        if is_lost and sent.round.is_told:
            self._emit(events.RoundLost(self._clock.now, *key, sent.member.index))
        self.books.ended(key)
        if is_lost or not sent.has_token:
            self.router.lost(key)

    def forget(self, session: str) -> None:
        """The session has ended."""
        self._at.pop(session, None)

    def _up(self) -> list[Member]:
        return [member for member in self._members if member.is_up]

    def _free_key(self, round_: RoundToSend) -> tuple[str, int]:
        """A session that was ended and begins anew may have an old round under way."""
        if round_.session is None:
            self._num_nobodys += 1
            return f"nobody-{self._num_nobodys}", 0
        number = round_.number
        while (round_.session, number) in self.books:
            number += 1
        return round_.session, number

    def _draw(self, below: int) -> int:
        return int(self._dice.integers(below))

    def _view(self, member: Member, round_: ToPlace) -> ReplicaView:
        """What its metrics do not tell is shown as nothing."""
        book, told, ask = self.books.of(member.index), member.told, round_.ask
        cached = None
        if self.router.hears_kv_events:
            cached = member.cached.tokens(round_.keys, ask.prompt_tokens, ask.block_size)
        return ReplicaView(
            member.index,
            told.running or 0,
            told.waiting or 0,
            told.free_blocks or 0,
            told.usage or 0.0,
            book.placed_since,
            book.under_way,
            book.tokens,
            book.prefill_tokens,
            cached,
        )


def _named(index: object, views: Sequence[ReplicaView]) -> int:
    """The server that the router named; the first, and a warning, where it was shown none such."""
    shown = [view.index for view in views]
    if isinstance(index, int) and index in shown:
        return index
    log.warning("the router named upstream %r, and was shown %s", index, shown)
    return shown[0]


def _no_prefill_s(_tokens: int, _cached: int) -> float:
    raise UsageError("How long a prompt takes to compute is not known of real servers.")
