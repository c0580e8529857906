"""What the paper reports, row by row, with our number and a verdict by a stated rule.

Each claim names the one figure that it is about, and its judge is shown no other (view.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from marsbench.judge.compare.figures import GOODPUT, LATENCY, QUARTERS, Figure
from marsbench.judge.compare.points import Matrix
from marsbench.judge.paper import courses, judges
from marsbench.judge.paper.parts import PARTS, ablation, inversion
from marsbench.judge.paper.systems import MARS
from marsbench.judge.paper.verdicts import AHEAD, COLLAPSED, KEPT, NEAR, SUSTAINED, Finding
from marsbench.judge.paper.view import MatrixView


@dataclass(frozen=True, slots=True)
class Claim:
    """A row: what is claimed, what was published, the rule that judges, the figure, and the judge.

    figures: one; several where it is told by quarter of the run. decisions: of the part that it is
    about, for how often that ran.
    """

    id: str
    what: str
    paper: str
    rule: str
    figures: tuple[Figure, ...]
    judge: Callable[[MatrixView], Finding]
    decisions: tuple[str, ...] = ()

    def found(self, matrix: Matrix, mars: str = MARS) -> Finding:
        """Our number and the verdict, of whatever was measured; mars: the row that is judged."""
        return self.judge(MatrixView(matrix, self.figures, self.decisions, mars))


def ttft(since: str, which: str, rounds: str) -> Claim:
    """The row of a P99 TTFT: `since` ready or submit, over the first or the later rounds."""
    paper = "over 1,000 s in the baselines, all rounds together" if since == "submit" else OURS
    return Claim(f"ttft-{since}-{which}", f"P99 TTFT of {rounds} rounds, from {since}", paper,
                 "reached when the baselines' worst passes 1,000 s and is "
                 f"{AHEAD}× MARS's or more, partly when only one of the two",
                 (Figure(f"ttft_{since}_{which}_p99_s"),), courses.slow_first_tokens)  # fmt: skip


def part(id_: str, what: str, paper: str, rule: str, low: float, high: float | None) -> Claim:
    """The row of MARS without a part."""
    return Claim(id_, what, paper, f"{rule}; not exercised where the part decided nothing",
                 (LATENCY,), ablation(id_, low, high), PARTS[id_])  # fmt: skip


OURS = "–"
"""Where the paper has no number."""
COMMON = f"reached from {NEAR:.0%} of it, partly from {AHEAD}×"
RANGE = "reached when every contended point is near the lowest and one near the highest"
NUMBER = "a number of ours"
CONSTANT = f"reached when all whose goodput collapsed keep {KEPT:.0%} of it, partly when some do"
CLAIMS = (
    Claim("headline", "mean latency against the strongest baseline, Qwen3-Coder-30B", "up to 5.94×",
          COMMON, (LATENCY,), judges.headline),
    Claim("points", "the same at all points (paper: on H100)", "1.44–5.80×",
          RANGE, (LATENCY,), judges.between(1.44, 5.80)),
    Claim("fcfs", "the same against FCFS alone", "in figures only",
          NUMBER, (LATENCY,), judges.against_fcfs),
    Claim("tails-p90", "P90 latency against the strongest baseline", "1.29–3.37× with P95",
          RANGE, (Figure("latency_p90_s"),), judges.between(1.29, 3.37)),
    Claim("tails-p95", "P95 latency against the strongest baseline", "1.29–3.37× with P90",
          RANGE, (Figure("latency_p95_s"),), judges.between(1.29, 3.37)),
    Claim("gpt-oss", "mean latency, gpt-oss-120b with shortened inputs", "up to 7.56×",
          COMMON, (LATENCY,), judges.second_model),
    Claim("openhands", "mean completion of real OpenHands agents", "1.20–1.87×",
          "needs a GPU and agents: not a simulation", (LATENCY,), judges.unmeasured),
    ttft("submit", "first", "first"),
    ttft("submit", "continuation", "later"),
    ttft("ready", "first", "first"),  # a wait for admission included
    ttft("ready", "continuation", "later"),
    Claim("evictions", "evictions of the baselines, means of runs", "from ~10 blocks/s",
          "reached when no contended run is under 10, partly when some are over",
          (Figure("evicted_per_s"),), courses.eviction_rates),
    Claim("evictions-peak", "evictions of the baselines, in the worst second",
          "to over 1,000 blocks/s", "reached when some second is over 1,000, partly from 10",
          (Figure("evicted_peak_per_s"),), courses.eviction_peak),
    Claim("burst", "evictions under MARS", "a burst at the onset of load, then ≈ 0",
          "reached when after the first quarter at most 1 block/s of a live session goes, "
          "at most a tenth of the baselines' rate in the same quarters, and the first quarter "
          "has no less", QUARTERS, courses.eviction_burst),
    Claim("collapse", "goodput as load rises", "baselines fall towards 0, MARS sustains",
          f"reached when half of the curves keep {COLLAPSED:.0%} or less and MARS {SUSTAINED:.0%}",
          (GOODPUT,), courses.collapse),
    Claim("output", "output tokens/s of the baselines meanwhile", "stays high",
          CONSTANT, (Figure("output_tokens_per_s"),), courses.constant("output tokens/s")),
    Claim("computed", "tokens/s that the baselines compute meanwhile", "stays high",
          CONSTANT, (Figure("computed_tokens_per_s"),), courses.constant("computed tokens/s")),
    part("coordinator", "MARS without the priority coordinator", "2–5× worse", COMMON, 2.0, 5.0),
    part("admission", "MARS without the external control plane", "1.5–3× worse", COMMON, 1.5, 3.0),
    part("opportunistic", "MARS without the opportunistic co-scheduler: no shrinking, no pins",
         "1.5–2× worse", COMMON, 1.5, 2.0),
    part("shrinking", "MARS without shrinking alone", OURS, NUMBER, 1.0, None),
    part("retention", "MARS without pins alone", OURS, NUMBER, 1.0, None),
    Claim("inversion", "light load: without the opportunistic part", "slightly faster",
          "reached below 1 at the lightest point, partly when only elsewhere; not exercised where "
          "the part decided nothing at that point",
          (LATENCY,), inversion, PARTS["opportunistic"]),
    Claim("control", "is it the scheduling, or the cap? (fcfs-cap is not in the paper)", OURS,
          f"reached when MARS leads by {AHEAD}× at every contended point, partly at some; not "
          "measured where the cap was given and not searched", (LATENCY,), judges.control),
    Claim("bound", "how far from the clairvoyant order (not in the paper)", OURS,
          NUMBER, (GOODPUT,), judges.share_of_bound),
)  # fmt: skip
