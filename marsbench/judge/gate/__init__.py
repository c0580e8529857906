"""The regression gate: is the candidate as good as the baseline, worse, or can nobody tell yet?

values      rules, checks and the report; what a margin may be
rules       rules from the command line and from a TOML file
pairs       two folders as paired runs, or a refusal
change      how each seed changed, and how sure it is that it passes a limit
judge       three verdicts, and one for all
exact       the simulator's case: nothing at all may have changed
documents, show    the report for CI, for a pull request and on a screen

Reads run folders and nothing else. docs/gate.md says how to use it.
"""

from marsbench.judge.gate.exact import gate_exact
from marsbench.judge.gate.judge import gate
from marsbench.judge.gate.rules import parse_margin, read_rules, rule_of
from marsbench.judge.gate.values import (
    GateCheck,
    GateError,
    GateReport,
    GateRules,
    Margin,
    Rule,
    Verdict,
)

__all__ = [
    "GateCheck",
    "GateError",
    "GateReport",
    "GateRules",
    "Margin",
    "Rule",
    "Verdict",
    "gate",
    "gate_exact",
    "parse_margin",
    "read_rules",
    "rule_of",
]
