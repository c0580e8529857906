"""The verb: exit codes, and what CI is given to read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from compare.builders import seeds, write_sweep
from marsbench.cli import main as cli

BASE = [{"a": 20.0, "b": 40.0 + n} for n in range(6)]


def times(factor, jitter=0.0):
    return [
        {name: s * (factor + jitter * (-1) ** n) for name, s in sessions.items()}
        for n, sessions in enumerate(BASE)
    ]


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """The base and its candidates, written once: each test has a copy."""
    path = tmp_path_factory.mktemp("sweeps")
    cases = {"base": BASE, "same": BASE, "slow": times(1.2), "noisy": times(1.05, 0.05)}
    for name, candidate in cases.items():
        write_sweep(path / name, {"mars": seeds(*candidate)})
    return path


@pytest.fixture
def folders(sweeps, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return shutil.copytree(sweeps, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def marsbench(folders, monkeypatch, capsys):
    def typed(*arguments):
        monkeypatch.setattr(sys, "argv", ["marsbench", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsys.readouterr()

    return typed


def gate(marsbench, *arguments):
    return marsbench("gate", "base", *arguments, "--metric", "latency")


@pytest.mark.parametrize(
    ("candidate", "code"), [("same", 0), ("slow", 1), ("noisy", 2), ("none", 3)]
)
def test_the_exit_code_is_the_verdict(candidate, code, marsbench):
    assert gate(marsbench, candidate)[0] == code


@pytest.mark.parametrize(
    "arguments",
    [
        ("same", "--margin", "much"),
        ("same", "--metric", "godput"),
        ("same", "--rules", "none.toml"),
        ("same", "--exact"),
        ("same", "--confidence", "1"),
        ("same", "--no-such-option"),
        (),
    ],
)
def test_what_was_asked_wrongly_is_an_error_and_not_inconclusive(arguments, marsbench):
    code, out, err = gate(marsbench, *arguments)
    assert (code, out) == (3, "")
    assert err.startswith("marsbench: ")
    assert err.count("\n") == 1


def test_the_table_ends_with_the_verdict(marsbench):
    code, out, _ = gate(marsbench, "slow")
    assert code == 1
    assert "+20.0%" in out
    assert out.endswith("fail: 0 of 1 checks pass\n")


def test_goodput_at_three_is_what_is_judged_by_default(marsbench):
    code, out, _ = marsbench("gate", "base", "same", "--json")
    (check,) = json.loads(out)["checks"]
    assert (code, check["figure"], check["margin"]) == (0, "goodput_3", "5%")


def test_junit_has_a_case_for_every_check(marsbench, folders):
    (folders / "rules.toml").write_text(
        '[[rules]]\nmetric = "latency"\n[[rules]]\nmetric = "goodput_area"\nmargin = "50%"\n'
    )
    marsbench("gate", "base", "slow", "--rules", "rules.toml", "--junit", "out/gate.xml")
    (suite,) = ET.parse(folders / "out" / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failed, passed = suite
    assert failed.get("name") == "mean latency"
    assert failed.get("classname") == "mars on ilr-1 at load 0.9"
    assert "+20.0%" in failed.find("failure").get("message")
    assert passed.find("failure") is None
    gate(marsbench, "noisy", "--junit", "gate.xml")
    (suite,) = ET.parse(folders / "gate.xml").getroot()
    assert suite[0].find("skipped").get("message").startswith("inconclusive")


def test_junit_of_an_error_is_an_error(marsbench, folders):
    gate(marsbench, "none", "--junit", "gate.xml")
    (suite,) = ET.parse(folders / "gate.xml").getroot()
    assert suite.get("errors") == "1"
    assert "none" in suite[0].find("error").get("message")


def test_the_summary_for_a_pull_request(marsbench, folders):
    gate(marsbench, "slow", "--markdown", "gate.md")
    text = (folders / "gate.md").read_text()
    assert text.startswith("### marsbench gate: **fail**\n")
    assert "| mars on ilr-1 at load 0.9 | mean latency | 31.25 | 37.5 | +20.0%" in text
    assert "surely higher by more than 5%" in text


def test_exactly_the_same_or_not(marsbench):
    assert marsbench("gate", "base", "same", "--exact")[0] == 0
    code, out, _ = marsbench("gate", "base", "slow", "--exact")
    assert code == 1
    assert "events.jsonl line" in out


def test_compare_prints_and_refuses(marsbench):
    code, out, _ = marsbench("compare", "base", "slow", "--baseline", "mars in base")
    assert code == 0
    assert "mars in slow" in out
    assert marsbench("compare", "none")[0] == 2
    code, out, _ = marsbench("compare", "base", "--json")
    assert json.loads(out)["marsbench_compare"] == 1


@pytest.mark.parametrize("shown", [(), ("--json",)])
def test_a_verdict_that_cannot_be_printed_is_an_error_and_no_fail(shown, folders):
    """Python's exit code for a full or closed stdout is 1, which here says that it got worse."""
    command = [sys.executable, "-m", "marsbench", "gate", "base", "same", *shown]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert "The verdict (pass) could not be printed: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_makes_no_verdict(folders):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "marsbench", "gate", "base", "same"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 3
    assert "could not be printed: Broken pipe" in done.stderr


def test_an_error_that_nobody_foresaw_is_no_fail(marsbench, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr("marsbench.judge.gate.command.judge", broken)
    code, _, err = gate(marsbench, "same")
    assert code == 3
    assert "nobody foresaw this" in err


def test_a_verdict_names_its_tool_mix_and_another_mix_is_no_candidate(marsbench, folders):
    for name, mix in (("base", "autonomous"), ("same", "autonomous"), ("slow", "recorded")):
        shutil.rmtree(folders / name)
        write_sweep(folders / name, {"mars": seeds(*BASE)}, tools=mix)
    code, out, _ = gate(marsbench, "same")
    assert (code, "ilr-1 at load 0.9, tools autonomous" in out) == (0, True)
    code, _, err = gate(marsbench, "slow")
    assert code == 3
    assert "slow has no run of mars on ilr-1 at load 0.9, tools autonomous" in " ".join(err.split())
