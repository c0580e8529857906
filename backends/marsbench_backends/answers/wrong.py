"""What becomes of an answer that cannot be carried out: a run ends, a server warns and goes on.

One sentence names the backend, the decision, the session, the answer and what is allowed. A
simulation that went on would measure something else than the policy, so it ends; a server has
clients, so it takes the default's answer, which is what vLLM does on its own.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

LONGEST = 120
"""Characters of an answer that a sentence quotes."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong answer. `kind` tells two ways of being wrong apart."""

    decision: str
    kind: str
    sentence: str


Told = Callable[[Wrong], None]


class WrongAnswerError(ValueError):
    """A policy or an admission controller raised, or answered what cannot be carried out."""


def refuse(wrong: Wrong) -> None:
    """End the run. Raises WrongAnswerError."""
    raise WrongAnswerError(wrong.sentence)


class WarnOnce:
    """Warns once of each decision and kind; `warn` is given a sentence."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._said: set[tuple[str, str]] = set()

    def __call__(self, wrong: Wrong) -> None:
        said = (wrong.decision, wrong.kind)
        if said not in self._said:
            self._said.add(said)
            self._warn(f"{wrong.sentence} The default is taken instead; this is said once.")


@dataclass(slots=True)
class Sayer:
    """Puts into words what `who` did wrong, and passes it on. `of` is whom a decision was about."""

    who: str
    told: Told

    def answered(self, decision: str, answer: object, of: str, at: float, allowed: str) -> None:
        """It answered something else than what is allowed."""
        end = " Does every branch of it return?" if answer is None else ""
        said = f"answered {quoted(answer)}{of}, at {at:.9g} s; allowed is {allowed}.{end}"
        self.say(decision, type(answer).__name__, said)

    def raised(self, decision: str, error: Exception, of: str, at: float) -> None:
        """It raised, in the line that is named."""
        name = type(error).__name__
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = f"line {last.lineno} of {PurePath(last.filename).name}"
        what = f"{name}: {error}" if str(error) else name
        self.say(decision, f"raised {name}", f"raised {what} ({line}){of}, at {at:.9g} s.")

    def say(self, decision: str, kind: str, said: str) -> None:
        """A sentence about a decision."""
        self.told(Wrong(decision, kind, f"{self.who}: {decision} {said}"))


def quoted(answer: object) -> str:
    """An answer in a sentence; never raises, never long."""
    try:
        text = " ".join(repr(answer).split())
    except Exception:  # a repr is the user's code too
        text = f"a {type(answer).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def listed(names: list[str]) -> str:
    """The first names of a list."""
    return ", ".join(f"'{name}'" for name in names[:3]) + (", …" if len(names) > 3 else "")
