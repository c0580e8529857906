"""What `marsbench gate` does: judge, write for CI, show."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from marsbench.errors import MarsbenchError
from marsbench.judge.gate.documents import as_json, as_junit, as_markdown, junit_of_error
from marsbench.judge.gate.exact import gate_exact
from marsbench.judge.gate.judge import gate
from marsbench.judge.gate.options import GateOptions, PlayOptions
from marsbench.judge.gate.rules import read_rules, rule_of
from marsbench.judge.gate.show import render
from marsbench.judge.gate.values import GateError, GateReport, GateRules
from marsbench.outputs import save_text
from marsbench.text.console import Uncut, console


@dataclass(frozen=True, slots=True)
class Sides:
    """What is judged: two folders, or two vLLMs that are to play."""

    baseline: Path | None
    candidate: Path | None
    played: PlayOptions

    def judge(self, options: GateOptions) -> GateReport:
        """Raises MarsbenchError."""
        if self.played.are_given:
            if self.baseline is not None:
                raise GateError("Give two folders, or --vllm and --vllm-candidate, not both.")
            return _judge_played(self.played, options)
        if self.baseline is None or self.candidate is None:
            raise GateError(
                "Missing argument: give two folders, as in `marsbench gate BASELINE CANDIDATE`, "
                "or --vllm and --vllm-candidate."
            )
        return judge(self.baseline, self.candidate, options)


def _judge_played(played: PlayOptions, options: GateOptions) -> GateReport:
    from marsbench.judge.gate.played import PlayedPair

    _rules(options)  # what is wrong with them is said before minutes are played
    pair = PlayedPair(played)
    pair.play()
    return pair.told(judge(*pair.folders, options))


def decide(
    sides: Sides, options: GateOptions, junit: Path | None, markdown: Path | None
) -> GateReport:
    """The report, written where it is wanted; of an error too, which CI is to see as one.

    Raises GateError for everything that keeps it from a verdict.
    """
    try:
        report = sides.judge(options)
    except MarsbenchError as error:
        _write(junit, junit_of_error(str(error)))
        raise GateError(str(error)) from error
    _write(junit, as_junit(report))
    _write(markdown, as_markdown(report))
    return report


def judge(baseline: Path, candidate: Path, options: GateOptions) -> GateReport:
    """The verdict that was asked for. Raises MarsbenchError."""
    rules = _rules(options)
    return gate_exact(baseline, candidate) if rules is None else gate(baseline, candidate, rules)


def _rules(options: GateOptions) -> GateRules | None:
    """What is judged; None where nothing at all may differ. Raises GateError."""
    if options.exact:
        if options.metric or options.rules:
            raise GateError("--exact compares everything; leave out --metric and --rules.")
        return None
    if options.rules is not None:
        if options.metric:
            raise GateError("Give --metric or --rules, not both: a rules file names its metrics.")
        return read_rules(options.rules)
    names = options.metric or ("goodput",)
    rules = tuple(rule_of(name, options.margin, options.alpha) for name in names)
    return GateRules(rules, options.confidence)


def _write(path: Path | None, text: str) -> None:
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_text(path, text)
    except OSError as error:
        raise GateError(f"Cannot write {path}: {error.strerror}; give another path.") from error


def show(report: GateReport, as_one_line: bool) -> None:
    """Prints it: one JSON object, or a table. Raises GateError when it cannot be printed."""
    text = as_json(report) if as_one_line else _table(report)
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up_stdout()
        raise GateError(
            f"The verdict ({report.verdict}) could not be printed: {error.strerror}; "
            "read it whole, or have it written with --markdown or --junit."
        ) from error


def _table(report: GateReport) -> str:
    """As it looks on this terminal. Rich itself would end the process where nobody reads on."""
    here, text = console(), io.StringIO()
    render(report, Uncut(file=text, width=here.width, force_terminal=here.is_terminal))
    return text.getvalue()


def _give_up_stdout() -> None:
    """What is left in its buffer must not be tried again when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def no_verdict_by_accident() -> Iterator[None]:
    """An error that nobody foresaw ends a gate with 3 and its traceback: Python's own 1 would say
    that the candidate failed."""
    try:
        yield
    except (MarsbenchError, typer.Exit):
        raise
    except Exception as error:
        traceback.print_exc()
        raise typer.Exit(GateError.exit_code) from error
