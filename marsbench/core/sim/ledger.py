"""Who owns which block: the hashes of every session's context, and the owner of each hash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from marsbench.core.session import Prompt, Session
from marsbench.core.sim.hashes import BlockWriters, SessionHashes
from marsbench.shortcuts.keys import BlockHashes


class BlockLedger:
    """The contexts of all sessions under way, as hashes of blocks of `block_size` tokens."""

    def __init__(self, block_size: int) -> None:
        self.block_size = block_size
        self._writers = BlockWriters()
        self._contexts: dict[str, SessionHashes] = {}

    def hashes(self, session: Session, prompt: Prompt) -> BlockHashes:
        """Of all full blocks of a round's prompt and output; a session's rounds come in order."""
        context = self._contexts.get(session.id)
        if context is None:
            context = SessionHashes(session, self._writers, self.block_size)
            self._contexts[session.id] = context
        context.start_round(prompt)
        return context.upto(prompt.num_tokens + prompt.output_tokens)

    def fork(self, parent: Session, child: Session) -> None:
        """The child begins with the context that its parent has now."""
        self._contexts[child.id] = self._contexts[parent.id].fork(child)

    def forget(self, session: Session) -> None:
        """The session has ended; its blocks are still known for its own."""
        self._contexts.pop(session.id, None)

    @property
    def is_empty(self) -> bool:
        """Whether no session is under way."""
        return not self._contexts

    def owners(self, blocks: Mapping[int, int]) -> Counter[str]:
        """Blocks by writer as blocks by owner, a session or "prefix:NAME", in the same order."""
        owners: Counter[str] = Counter()
        for writer, num_blocks in blocks.items():
            owners[self._writers.owners[writer]] += num_blocks
        return owners
