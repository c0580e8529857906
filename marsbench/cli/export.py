"""`marsbench export`: a run's results for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from marsbench.errors import UsageError

# What the command needs is imported when it is called, so that --help answers at once.


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    to: Annotated[
        Literal["vllm-bench", "llm-d", "csv", "perfetto", "otel", "mlflow", "wandb"],
        typer.Option(
            help="vllm bench serve's JSON, llm-d's report 0.2.1, a table, a trace for "
            "ui.perfetto.dev, OpenTelemetry's spans (OTLP JSON), or a folder for `mlflow ui` or "
            "`wandb sync`."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The file to write (mlflow, wandb: folder); else it is printed."
        ),
    ] = None,
    detailed: Annotated[
        bool, typer.Option("--detailed", metavar=" ", help="vllm-bench: lists of every request.")
    ] = False,
    table: Annotated[
        Literal["rounds", "sessions"], typer.Option(help="csv: which table.")
    ] = "rounds",
) -> None:
    """Write a run's results in another tool's format.

    llm-d's report is YAML, or JSON when the file's name ends in .json. What the run did not
    measure is null or left out.
    """
    if to in ("mlflow", "wandb"):
        _to_folder(run, to, output)
        return
    text = _trace(run, to) or _text(run, to, output, detailed, table)
    if output is None:
        typer.echo(text, nl=False)
    else:
        save(text, output)
        typer.echo(f"{output}: {run} as {to}")


def _trace(run: Path, to: str) -> str | None:
    """What happened when, for a viewer of traces."""
    from marsbench.report.export.otel import otel
    from marsbench.report.export.perfetto import perfetto

    return {"perfetto": perfetto, "otel": otel}[to](run) if to in ("perfetto", "otel") else None


def _text(
    run: Path,
    to: str,
    output: Path | None,
    detailed: bool,
    table: Literal["rounds", "sessions"],
) -> str:
    import json

    from marsbench.report.export.llm_d import llm_d_report, report_text
    from marsbench.report.export.results import read_results
    from marsbench.report.export.table import csv_text
    from marsbench.report.export.vllm_bench import vllm_bench

    results = read_results(run)
    if to == "csv":
        return csv_text(results, table)
    if to == "llm-d":
        return report_text(llm_d_report(results), output is not None and output.suffix == ".json")
    return json.dumps(vllm_bench(results, detailed), allow_nan=False, ensure_ascii=False) + "\n"


def _to_folder(run: Path, to: str, output: Path | None) -> None:
    """Adds the run to a folder of the other tool's. Raises UsageError where that cannot be."""
    if output is None:
        raise UsageError(
            f"--to {to} adds the run to a folder, and none was given; type -o "
            f"{'mlruns' if to == 'mlflow' else to}, for example."
        )
    try:
        told = (_to_mlflow if to == "mlflow" else _to_wandb)(run, output)
    except OSError as error:
        raise _unwritable(output, error) from error
    typer.echo(f"{output}: {run} as {told}")


def _to_mlflow(run: Path, output: Path) -> str:
    from marsbench.report.export.mlflow import write_mlflow
    from marsbench.report.export.results import read_results

    place = write_mlflow(read_results(run), run, output)
    return f"run {place.name} of MLflow's experiment marsbench"


def _to_wandb(run: Path, output: Path) -> str:
    from marsbench.extras import require
    from marsbench.report.export.results import read_results
    from marsbench.report.export.wandb_run import write_wandb

    require("wandb")
    place = write_wandb(read_results(run), output)
    return f"an offline run; `wandb sync {place}` sends it"


def save(text: str, output: Path) -> None:
    """Raises UsageError where nothing can be written."""
    from marsbench.outputs import save_text

    try:
        save_text(output, text)
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: Path, error: OSError) -> UsageError:
    return UsageError(
        f"Cannot write to {output} ({(error.strerror or str(error)).lower()}); give a file in "
        f"a folder that exists and is yours with -o."
    )
