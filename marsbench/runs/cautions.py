"""What to know before believing a result; each caution ends with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TypedDict

from marsbench.core.metrics.percentiles import MIN_FOR_P99
from marsbench.core.metrics.steady import Steady
from marsbench.core.metrics.summary import Summary

MEANINGFUL_DRIFT = 0.1
"""One session in ten that arrive is left over: in 200 sessions a backlog of 20 more."""
LOWER = "lower --rate or --load, or compare backends at this length alone"


class CautionNote(TypedDict):
    """A caution as a summary states it."""

    code: str
    text: str


class Caution(Enum):
    """The cautions; a member's value is its text, with the facts still to be filled in."""

    TOO_FEW_SESSIONS = (
        "P99 of {n} sessions is all but their maximum; "
        "for a P99 run {enough} or more (--sessions {enough})."
    )
    TOO_FEW_ROUNDS = (
        "P99 of TTFT over {n} rounds is all but their maximum; run more sessions (--sessions)."
    )
    SATURATED = (
        "The queue was still growing when arrivals ended ({earlier:.1f} rounds waiting in their "
        "second quarter, {last:.1f} in the last), so latency depends on the number of sessions; "
        "lower --rate or --load, or read goodput and slowdown only between backends."
    )
    NOT_STEADY = (
        "The backlog {moved} by {sessions} sessions while {arrived} arrived in the steady window "
        "({drift:+.2f} a session, 95 % between {low:+.2f} and {high:+.2f}): this run is not "
        "steady, its figures depend on its length; {cure}."
    )
    SURVIVORS_ONLY = (
        "Latency and slowdown are of the {finished} sessions that finished, of {arrived} that "
        "arrived; compare runs by goodput, which counts the others as not good, or find out in "
        "sessions.parquet why they did not finish."
    )
    SESSIONS_FAILED = (
        "{number} failed: {why}; find out why before you compare, or bound their share with "
        "--max-failed."
    )
    NO_IDEAL = (
        "{n} finished sessions have no ideal time, so goodput is not known; "
        "measure each session alone first."
    )
    STEP_TIME_MODELLED = (
        "GPU step times come from a model ({model}), not from this GPU; "
        "check that the ranking holds at other step times before quoting seconds."
    )
    LARGE_HOST = (
        "{gib:,.0f} GiB of KV in host memory are more than a GPU server's host has ({most:,} GiB); "
        "give --host-kv what yours can spare before quoting the result."
    )
    SHORTCUTS_OFF = (
        "Of vLLM {vllm} nobody has proven that our fast loops and macro steps give its own events, "
        "so they were off; `marsbench vllm check {name}` finds out, and makes runs several times "
        "faster where they are equal."
    )
    SHORTCUTS_DIFFER = (
        "On vLLM {vllm} our fast loops or macro steps give other events than its own ({why}), so "
        "they were off; the run is vLLM's own, and slower."
    )
    ALONE_PINNED = (
        "Times alone are computed by the rules of vLLM {pinned}, whatever vLLM plays (but those of "
        "sessions with sub-agents), so that goodput and slowdown of two vLLMs have one measure."
    )
    DIRTY_VLLM = (
        "vLLM differed from its commit {commit}; commit the change, so that others can repeat the "
        "result (its scheduler's sources hash to {sources})."
    )
    DIRTY_TREE = (
        "The code differed from commit {commit}; commit the changes and rerun, "
        "so that others can repeat the result."
    )

    def note(self, **facts: object) -> CautionNote:
        """The caution about these facts. Raises KeyError when the text needs one not given."""
        return {"code": self.name, "text": self.value.format(**facts)}


def cautions_of(summary: Summary) -> list[CautionNote]:
    """The cautions that the figures themselves call for."""
    notes: list[CautionNote] = []
    counts, latency = summary["sessions"], summary["latency"]
    rounds = summary["ttft"]["ready"]["all"]["n"]
    if 0 < latency["n"] < MIN_FOR_P99:
        notes.append(Caution.TOO_FEW_SESSIONS.note(n=latency["n"], enough=MIN_FOR_P99))
    if 0 < rounds < MIN_FOR_P99:
        notes.append(Caution.TOO_FEW_ROUNDS.note(n=rounds))
    if counts["finished"] < counts["arrived"]:
        facts = {"finished": counts["finished"], "arrived": counts["arrived"]}
        notes.append(Caution.SURVIVORS_ONLY.note(**facts))
    if latency["n"] > summary["slowdown"]["n"]:
        notes.append(Caution.NO_IDEAL.note(n=latency["n"] - summary["slowdown"]["n"]))
    quarters = summary["waiting"]["by_quarter"]
    if quarters is not None and keeps_growing(quarters):
        notes.append(Caution.SATURATED.note(earlier=quarters[1], last=quarters[3]))
    return [*notes, *_drifting(summary["steady"])]


def _drifting(steady: Steady | None) -> Iterator[CautionNote]:
    """Where the backlog's drift is clear of 0, and large enough to matter."""
    backlog = None if steady is None else steady["backlog"]
    if steady is None or backlog is None or abs(backlog["drift"]) < MEANINGFUL_DRIFT:
        return
    low, high = backlog["drift_low"], backlog["drift_high"]
    if low <= 0 <= high:
        return
    grew = backlog["drift"] > 0
    yield Caution.NOT_STEADY.note(
        moved="grew" if grew else "shrank",
        sessions=abs(backlog["at_end"] - backlog["at_start"]),
        arrived=steady["arrived"],
        drift=backlog["drift"],
        low=low,
        high=high,
        cure=LOWER if grew else "begin with fewer sessions (--warm-start), or run more",
    )


def keeps_growing(quarters: Sequence[float]) -> bool:
    """Whether the queue rose to the end of the arrivals: no steady state was in sight.

    The first quarter is left out, since a run starts empty and every queue grows then. At least
    one round waits on average at the end, twice as many as in the second quarter.
    """
    _, second, third, last = quarters
    return second < third < last and last >= max(1.0, 2 * second)
