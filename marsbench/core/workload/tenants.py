"""Whose sessions they are: tenants that share one engine, as labels on the sessions of a workload.

Labels move neither bodies nor arrivals, so every mix of tenants meets the same traffic.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, get_args

from marsbench.core.session import Session
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError, unknown_name

Kind = Literal["even", "greedy", "long", "shares"]
MOST = 1_000
"""Tenants at most; each has a row of its own wherever they are told apart."""
UNEVEN = ("greedy", "long")
"""Kinds whose first tenant is unlike the others, and is called so."""


@dataclass(frozen=True, slots=True)
class TenantMix:
    """How many sessions each tenant begins, and which.

    even: as many each. greedy: the first as many as all others together. shares: in proportion.
    Which session is whose is drawn, one by one. long: as many each, those with the longest
    contexts being the first's.
    """

    kind: Kind
    shares: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> TenantMix:
        """`even:3`, `greedy:4`, `long:4`, `shares:5,3,2`. Raises UsageError."""
        name, _, parameter = text.partition(":")
        kind = next((k for k in get_args(Kind) if k == name), None)
        if kind is None:
            raise unknown_name("tenants", name, get_args(Kind), " Type for example greedy:4.")
        shares = _numbers(parameter) if kind == "shares" else _alike(kind, _numbers(parameter))
        if not 2 <= len(shares) <= MOST or min(shares) <= 0:
            example = "shares:5,3,2" if kind == "shares" else f"{kind}:4"
            raise UsageError(
                f"Tenants '{text}': {kind} needs 2 to {MOST:,} tenants, with shares above 0; "
                f"type for example {example}."
            )
        return cls(kind, shares)

    def __str__(self) -> str:
        if self.kind == "shares":
            return f"shares:{','.join(f'{share:g}' for share in self.shares)}"
        return f"{self.kind}:{len(self.shares)}"

    @property
    def names(self) -> list[str]:
        """t1, t2, …; the first may be called what it is."""
        names = [f"t{n}" for n in range(1, len(self.shares) + 1)]
        return [self.kind, *names[1:]] if self.kind in UNEVEN else names

    def owners(self, sessions: Sequence[Session], seed: int) -> list[str]:
        """The tenant of every session. But for the long, a longer list begins with the shorter."""
        draws = stream(seed, "tenants").random(len(sessions)).tolist()
        if self.kind == "long":
            first, *others = self.names
            longest = self._longest(sessions)
            picks = (others[int(u * len(others))] for u in draws)
            return [first if i in longest else name for i, name in enumerate(picks)]
        names, edges = self.names, list(accumulate(self.shares))
        return [names[min(bisect_right(edges, u * edges[-1]), len(edges) - 1)] for u in draws]

    def _longest(self, sessions: Sequence[Session]) -> set[int]:
        """One in so many as there are tenants: those with the longest contexts; ties in order."""
        order = sorted(range(len(sessions)), key=lambda i: (-sessions[i].peak_tokens, i))
        return set(order[: -(-len(order) // len(self.shares))])


def with_tenants(workload: Workload, kind: str | None) -> Workload:
    """The same sessions with these tenants; as they were where none are asked for.

    Raises UsageError for a kind that is none.
    """
    if kind is None:
        return workload
    mix, seed = TenantMix.parse(kind), workload.meta.get("seed")
    owners = mix.owners(workload.sessions, seed if isinstance(seed, int) else 1)
    pairs = zip(workload.sessions, owners, strict=True)
    sessions = tuple(_owned(session, name) for session, name in pairs)
    return replace(workload, sessions=sessions, meta={**workload.meta, "tenants": str(mix)})


def _owned(session: Session, tenant: str) -> Session:
    return replace(session.with_children(lambda child: _owned(child, tenant)), tenant=tenant)


def _alike(kind: str, given: tuple[float, ...]) -> tuple[float, ...]:
    """Of so many tenants; a zero where that is no number of them."""
    count = given[0] if len(given) == 1 else 0.0
    if not 1 <= count <= MOST or count != int(count):
        return (0.0,)
    return (count - 1 if kind == "greedy" else 1.0, *(1.0,) * (int(count) - 1))


def _numbers(text: str) -> tuple[float, ...]:
    """What is written there; a zero, which no tenant may have, where that is no list of numbers."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        return (0.0,)
    return found if all(map(math.isfinite, found)) else (0.0,)
