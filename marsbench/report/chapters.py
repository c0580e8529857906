"""The sections with figures."""

from __future__ import annotations

from typing import NamedTuple


class Chapter(NamedTuple):
    """A title, an introduction, figures, and the paper's claims that they bear on."""

    title: str
    text: str
    figures: tuple[str, ...]
    claims: tuple[str, ...]


CHAPTERS = {
    "load": Chapter(
        "Latency and goodput",
        "Latency of sessions that finished, and the share of all that arrived which was served "
        "well.",
        ("latency",),
        ("headline", "points", "fcfs", "tails-p90", "tails-p95", "gpt-oss", "control", "bound"),
    ),
    "collapse": Chapter(
        "Goodput and throughput",
        "An engine that evicts what it needs again computes as many tokens as before, or more. "
        "Throughput alone does not show whether a session ever ends.",
        ("collapse",),
        ("collapse", "output", "computed"),
    ),
    "slowdown": Chapter(
        "Goodput against α, and the distribution of slowdown",
        "α is the reader's choice: the whole curve shows whether a ranking depends on it, and the "
        "distribution what the sessions pay that are beyond any α.",
        ("slowdown",),
        (),
    ),
    "causes": Chapter(
        "Why is it slower",
        "Each second that a session takes beyond its time alone has a cause, and they add up.",
        ("causes",),
        (),
    ),
    "rounds": Chapter(
        "Time to first token by round",
        "A first round may wait for admission and finds no cache of its own; later ones wait "
        "longer when their context was evicted while a tool ran.",
        ("ttft-by-round",),
        tuple(
            f"ttft-{since}-{which}"
            for since in ("ready", "submit")
            for which in ("first", "continuation")
        ),
    ),
    "cache": Chapter(
        "Evictions, KV cache and tools over time",
        "Where contexts of paused sessions are evicted, they are computed again when their tools "
        "have ended.",
        ("evictions", "occupancy"),
        ("evictions", "evictions-peak", "burst"),
    ),
    "parts": Chapter(
        "Ablations",
        "Each part is switched off alone. One that decided nothing in the whole is not exercised: "
        "nothing is known of what it is worth.",
        ("ablations",),
        ("coordinator", "admission", "opportunistic", "shrinking", "retention"),
    ),
    "light": Chapter(
        "Light load",
        "Where nobody waits, a scheduler can only cost time.",
        ("light-load",),
        ("inversion",),
    ),
    "fairness": Chapter(
        "Fairness",
        "A mean can be bought by letting some sessions wait: long ones, or a few unlucky ones.",
        ("fairness",),
        (),
    ),
}
"""By the section's id, in the order of a report."""
