"""Chat completions: a round's prompt as one message of a user, inside the server's chat template.

The template writes tokens before the text and behind it. They stand in the place of the first and
the last tokens of the workload's prompt, so that the prompt has its length, and a position in it is
the same position at the server. From one round to the next the text grows at its end only.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from marsbench.core.session import Prompt, Session
from marsbench.wall.live.endpoint import Endpoint
from marsbench.wall.live.text import TextContext, Tokenizer


@dataclass(frozen=True, slots=True)
class Template:
    """What the server's chat template adds to a user's text.

    tokens: in all. head: how many of them stand before the text; None where that is not known, and
        then all are taken to stand behind it. how: measured by "tokenize" or by "usage".
    """

    tokens: int
    head: int | None
    how: str

    @property
    def begin(self) -> int:
        """The position of the text's first token."""
        return self.head or 0

    @property
    def tail(self) -> int:
        """Tokens behind the text, at most."""
        return self.tokens - self.begin


class ChatContext(TextContext):
    """A context whose first and last tokens are the template's."""

    def __init__(self, session: Session, tokenizer: Tokenizer, template: Template) -> None:
        super().__init__(session, tokenizer, begin=template.begin)
        self._template = template

    def prompt(self, prompt: Prompt) -> bytes:
        """The text of the message, never empty: a prompt of few tokens comes out longer."""
        end = prompt.num_tokens - self._template.tail
        return super().prompt(dataclasses.replace(prompt, num_tokens=end))

    async def answered(self, token_ids: list[int] | None, text: str, prompt: Prompt) -> None:
        """Not kept: behind the template's tail it was computed at other positions."""


# What `has_token` says, of bytes that may end anywhere.
_TOKEN = re.compile(
    rb'"(?:content|reasoning|reasoning_content)"\s*:\s*"[^"]'
    rb'|"tool_calls"\s*:\s*\[\s*\{|"token_ids"\s*:\s*\[\s*\d'
)


def _holds_token(data: bytes) -> bool:
    return _TOKEN.search(data) is not None


CHAT = Endpoint(
    "/v1/chat/completions",
    b'"messages":[{"role":"user","content":%s}]',
    _holds_token,
)
