"""`marsbench hardware` and `marsbench calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# What a command needs is imported when it is called, so that --help answers at once.

app = typer.Typer(no_args_is_help=True, help="The modelled hardware: capacity and step times.")

Model = Annotated[
    str | None,
    typer.Option(help="What it serves: a name, or a config.json.", show_default="qwen3-coder-30b"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@app.command("list")
def list_hardware(
    tp: Annotated[
        int | None,
        typer.Option(help="Of groups of so many GPUs.", show_default="the fewest that hold each"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what can be simulated: KV capacity and two steps of each."""
    from marsbench.show.hardware import all_hardware, hardware_json, print_list
    from marsbench.text.console import console

    if as_json:
        objects = [hardware_json(hardware).rstrip() for hardware in all_hardware(tp)]
        typer.echo("[\n" + ",\n".join(objects) + "\n]")
    else:
        print_list(console(), tp)


@app.command()
def show(
    gpu: Annotated[str, typer.Argument(help="A GPU's name, or an id.")] = "h200",
    model: Model = None,
    tp: Annotated[
        int | None, typer.Option(help="GPUs that share the model: 1, 2, 4 or 8.", show_default="1")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="The weights' precision; by default the model's first.")
    ] = None,
    kv_dtype: Annotated[
        str | None,
        typer.Option(help="What KV is kept in: bf16, fp8, or auto as vLLM's.", show_default="auto"),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option("--hardware", help="A TOML profile of your own, instead of a GPU's name."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw step time against prefix length (.png, .svg).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one: its capacity as a formula, the time of typical steps, what to be careful of."""
    from marsbench.hardware.profile import load_hardware
    from marsbench.show.hardware import hardware_json, print_hardware
    from marsbench.show.hardware_plot import plot_hardware
    from marsbench.text.console import console

    hardware = load_hardware(model, gpu, precision, kv_dtype=kv_dtype, tp=tp, profile=profile)
    if plot is not None:
        plot_hardware(hardware, plot)
    if as_json:
        typer.echo(hardware_json(hardware), nl=False)
    else:
        print_hardware(hardware, console())


def calibrate(
    output: Annotated[Path, typer.Option("-o", "--output", help="The profile to write.")],
    model: Annotated[str, typer.Option(help="The model whose shapes to time.")] = "qwen3-coder-30b",
    tiny: Annotated[bool, typer.Option(help="Tiny shapes, to try it without a GPU.")] = False,
    seconds: Annotated[float, typer.Option(help="Stop measuring after so long.")] = 420.0,
) -> None:
    """Time this machine's GPU on the batches that matter, and write a profile.

    Needs PyTorch. `python marsbench/serve/vllm_calibrate.py` does the same and needs no more.
    """
    from marsbench.errors import UsageError, unknown_name
    from marsbench.serve import vllm_calibrate as script

    known = [name for name in script.SHAPES if name != "tiny"]
    if model not in known:
        raise unknown_name("model to calibrate", model, known)
    if output.exists():
        raise UsageError(f"{output} exists; give another name with -o, or remove it.")
    try:
        typer.echo(script.calibrate(output, model, tiny=tiny, deadline_s=seconds))
    except script.NoGpuError as error:
        raise UsageError(str(error)) from error
