"""The report for machines and for pull requests: JSON, JUnit XML, Markdown."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from typing import Any

from marsbench.judge.gate.values import EXACTLY, GateCheck, GateReport, Rule, as_change
from marsbench.text.numbers import measured
from marsbench.text.tables import Table, markdown
from marsbench.text.words import bulleted

SUITE = "marsbench gate"


def as_json(report: GateReport) -> str:
    """One JSON object on one line."""
    return json.dumps(record(report), ensure_ascii=False, allow_nan=False) + "\n"


def record(report: GateReport) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "marsbench_gate": 1,
        "verdict": report.verdict,
        "exact": report.exact,
        "baseline": report.baseline,
        "candidate": report.candidate,
        "confidence": report.confidence,
        "checks": [_check(check) for check in report.checks],
        "cautions": list(report.cautions),
        **({"first_differences": list(report.notes)} if report.notes else {}),
    }


def _check(check: GateCheck) -> dict[str, Any]:
    return {
        "place": check.place,
        "backend": check.backend,
        "figure": str(check.rule.figure),
        "better": check.rule.better,
        "margin": str(check.rule.margin),
        "baseline": check.baseline,
        "candidate": check.candidate,
        "change": {name: _finite(bound) for name, bound in check.change._asdict().items()},
        "change_of_means": _finite(check.of_means),
        "seeds": check.seeds,
        "verdict": check.verdict,
        "why": check.why,
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: a change from nothing to something is null."""
    return None if value is None or math.isinf(value) else value


def as_junit(report: GateReport) -> str:
    """A suite with a case for every check: failed, or skipped where it is inconclusive.

    The form is that of Jenkins and GitLab: testsuites › testsuite › testcase.
    """
    suite = _suite(
        len(report.checks),
        failures=sum(check.verdict == "fail" for check in report.checks),
        skipped=sum(check.verdict == "inconclusive" for check in report.checks),
    )
    for check in report.checks:
        case = ET.SubElement(suite, "testcase", classname=check.where, name=name_of(check.rule))
        if check.verdict == "fail":
            ET.SubElement(case, "failure", message=check.why, type="regression").text = check.why
        elif check.verdict == "inconclusive":
            ET.SubElement(case, "skipped", message=f"inconclusive: {check.why}")
        else:
            ET.SubElement(case, "system-out").text = check.why
    return _written(suite)


def junit_of_error(sentence: str) -> str:
    """A suite whose one case says why nothing could be judged."""
    suite = _suite(1, errors=1)
    case = ET.SubElement(suite, "testcase", classname=SUITE, name="inputs")
    ET.SubElement(case, "error", message=sentence, type="GateError").text = sentence
    return _written(suite)


def _suite(tests: int, **counts: int) -> ET.Element:
    told = {"tests": tests, "failures": 0, "errors": 0, "skipped": 0, **counts}
    return ET.Element("testsuite", {"name": SUITE, **{name: str(n) for name, n in told.items()}})


def _written(suite: ET.Element) -> str:
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def as_markdown(report: GateReport) -> str:
    """A summary for a pull request: the verdict, a line for every check, what to know."""
    told = [check.why for check in report.checks if check.verdict != "pass"]
    told += [f"Caution: {caution}" for caution in report.cautions]
    told += [f"First difference: {note}" for note in report.notes]
    parts = [
        f"### marsbench gate: **{report.verdict}**",
        f"`{report.candidate}` against `{report.baseline}`{_terms(report)}.",
        markdown(table(report)),
        bulleted(told),
    ]
    return "\n\n".join(parts).rstrip() + "\n"


def _terms(report: GateReport) -> str:
    if report.exact:
        return ", exactly"
    return f", paired by seed; each verdict at {report.confidence:.0%}, one-sided"


def table(report: GateReport) -> Table:
    """The checks, a row each."""
    if report.exact:
        runs = [(f"`{check.place}`", check.verdict) for check in report.checks]
        return Table(("run", "verdict"), runs, "l")
    head = (
        "where", "metric", "baseline", "candidate", "typical change", "margin", "seeds", "verdict",
    )  # fmt: skip
    return Table(head, list(map(cells, report.checks)), "llrrrrrl")


def cells(check: GateCheck) -> tuple[str, ...]:
    """A check as the cells of a table."""
    return (
        check.where,
        name_of(check.rule),
        number(check.baseline),
        number(check.candidate),
        change(check),
        f"{check.rule.margin} {'up' if check.rule.better == 'lower' else 'down'}",
        str(check.seeds),
        check.verdict,
    )


def change(check: GateCheck) -> str:
    """ "−4.1% (−7.2% to −0.9%)"."""
    value, low, high = (as_change(bound, check.rule) for bound in check.change)
    return value if check.change.low is None else f"{value} ({low} to {high})"


def name_of(rule: Rule) -> str:
    """The figure's label; "exact" for the exact gate, which has no figure."""
    return str(rule.figure) if rule is EXACTLY else rule.figure.label


def number(value: float | None) -> str:
    """Four digits."""
    return measured(value, ",.4g")
