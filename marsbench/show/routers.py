"""`marsbench routers`: which there are, with their rules, sources and parameters."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from rich.markup import escape

from marsbench.errors import UsageError
from marsbench.replicas.registry import RouterChoice, choose_router, installed
from marsbench.text.console import console, drawn
from marsbench.text.options import as_set
from marsbench.text.tables import Styled, Table


def show_routers(name: str | None, as_json: bool) -> None:
    """Print all routers, or one with its whole header. Raises UsageError for an unknown one."""
    found = [choose_router(name)] if name else list(_installed())
    if as_json:
        records = [_record(one) for one in found]
        text = json.dumps(records[0] if name else records, ensure_ascii=False)
        sys.stdout.write(text + "\n")
    elif name:
        console().print(f"[bold]{escape(name)}[/bold]\n", highlight=False)
        console().print(f"{found[0].about}\n\n{_parameters(found[0])}", markup=False)
    else:
        rows = [(Styled(one.name, "bold"), "\n".join([*_lines(one), ""])) for one in found]
        console().print(drawn(Table((), rows, "Ll")))
        console().print(
            "Parameters: --set router.PARAMETER=VALUE. More of one: marsbench routers NAME."
        )


def _installed() -> Iterator[RouterChoice]:
    """Every router that loads; a broken one of a third party is said and left out."""
    for name in installed():
        try:
            yield choose_router(name)
        except UsageError as error:
            sys.stderr.write(f"left out: {error}\n")


def _parts(router: RouterChoice) -> tuple[str, str, str]:
    """Of the header: the rule, its source, what is not modelled."""
    idea, _, rest = router.about.partition("\n\n")
    source, _, missing = rest.partition("Not modelled:")
    words = (idea, source.removeprefix("Source:"), missing)
    return tuple(" ".join(text.split()) for text in words)  # type: ignore[return-value]


def _lines(router: RouterChoice) -> Iterator[str]:
    idea, source, missing = _parts(router)
    yield idea
    yield f"Source: {source}"
    yield f"Not modelled: {missing}"
    yield _parameters(router)


def _parameters(router: RouterChoice) -> str:
    given = (f"{one.name}={as_set(one.default)}" for one in router.parameters)
    return f"Parameters: {' '.join(given)}"


def _record(router: RouterChoice) -> dict[str, object]:
    idea, source, missing = _parts(router)
    return {
        "name": router.name,
        "idea": idea,
        "source": source,
        "not_modelled": missing,
        "parameters": [
            {"name": one.name, "type": one.kind, "default": as_set(one.default)}
            for one in router.parameters
        ],
    }
