"""Berth: InferCept's scheduler, behind an admission that knows when memory and cores are taken.

No paper's: ours (docs/policies/berth.md). What is kept, swapped or left while tools run, and who
goes first inside, is InferCept (arXiv 2402.01869) as it is; who gets in, and when, is
berth_admission.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from marsbench_backends.policies.berth_admission import BerthAdmission
from marsbench_backends.policies.infercept import InferCept


@dataclass
class Berth(InferCept):
    """InferCept's parameters."""

    controller = BerthAdmission
