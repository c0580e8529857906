"""Tenants' shares of memory: whose turn it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


class Shares:
    """As "a=2,b=1"; a tenant that is not named has 1. Empty: tenants are not told apart.

    Raises ValueError for what is no "tenant=share" with a share above 0.
    """

    def __init__(self, text: str) -> None:
        self._of: dict[str, float] = {}
        for one in filter(None, text.split(",")):
            tenant, _, share = one.partition("=")
            self._of[tenant] = _number(share)
            if not (tenant and 0 < self._of[tenant] < math.inf):
                raise ValueError(f'shares must be as "a=2,b=1", not "{text}"')

    def taken(self, inside: Iterable[tuple[str, float]]) -> Mapping[str, float]:
        """Tokens over share by tenant, of tenants and their sessions' tokens; nobody's if empty."""
        found: dict[str, float] = {}
        for tenant, tokens in inside if self._of else ():
            found[tenant] = found.get(tenant, 0.0) + tokens / self._of.get(tenant, 1.0)
        return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
