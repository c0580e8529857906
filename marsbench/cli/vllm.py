"""`marsbench vllm`: which vLLMs are at hand, and whether the shortcuts may be taken on one."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from marsbench.cli.options import verb
from marsbench.option import AsJson

app = typer.Typer(help="Which vLLMs there are, and what each can do.", no_args_is_help=True)


@app.command("list")
@verb
def list_trees(as_json: AsJson = False) -> None:
    """The vLLMs at hand, and what each can do."""
    from marsbench.show.vllm import as_records, render

    if as_json:
        typer.echo(json.dumps(as_records()))
    else:
        render()


@app.command("check")
@verb
def check_tree(
    vllm: Annotated[str, typer.Argument(metavar="VLLM", help="A version, PATH or PATH@REV.")],
    as_json: AsJson = False,
) -> None:
    """Whether fast loops and macro steps give the events of this vLLM's own; remembered."""
    from marsbench.core.proven import keep
    from marsbench.proof.check import WORLDS, check
    from marsbench.text.progress import progress_bar
    from marsbench.trees.asked import tree_of
    from marsbench.trees.imported import use

    tree = tree_of(vllm)
    use(tree)
    with progress_bar(f"vLLM {tree.label}, small worlds", WORLDS) as done:
        verdict = check(done)
    keep(verdict)
    if as_json:
        typer.echo(json.dumps({**tree.facts, **asdict(verdict)}))
    else:
        typer.echo(f"vLLM {tree.label} ({tree.sources[:16]}): {verdict.sentence}")
    if not verdict.is_equal:
        raise typer.Exit(1)
